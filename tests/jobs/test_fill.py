from __future__ import annotations

from pathlib import Path

import pytest
import transformers

from bertsmith.errors import DataError, ModelError
from bertsmith.export.huggingface import load_masked_lm, load_tokenizer
from bertsmith.jobs.fill import fill, fill_mask

from .tiny import POST, save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = POST.model_copy(update={"max_position_embeddings": 16})
    return save_tiny_model(tmp_path_factory.mktemp("models") / "m", small)


def test_guesses_are_those_of_transformers(model: Path) -> None:
    text = "the [MASK] was a [MASK] dog"
    ours = fill(model, text, top=4)
    pipe = transformers.pipeline("fill-mask", str(model), top_k=4)
    assert len(ours) == 2
    for mine, theirs in zip(ours, pipe(text), strict=True):
        assert [token for token, _ in mine] == [guess["token_str"] for guess in theirs]
        probabilities = [guess["score"] for guess in theirs]
        assert [probability for _, probability in mine] == pytest.approx(probabilities, abs=1e-6)


def test_a_model_in_training_goes_on_training(model: Path) -> None:
    network, tokenizer = load_masked_lm(model).train(), load_tokenizer(model)
    first, second = (fill_mask(network, tokenizer, "a [MASK] dog", top=1000) for _ in range(2))
    assert first == second
    assert len(first[0]) == tokenizer.vocab_size
    assert sum(probability for _, probability in first[0]) == pytest.approx(1.0)
    assert network.training


def test_no_mask_too_long_or_no_masked_lm(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \[MASK\] in the text; write \[MASK\]"):
        fill(model, "the dog")
    with pytest.raises(DataError, match="the text has 51 tokens, and the model reads 16; shorten"):
        fill(model, "[MASK]" + " dog" * 16)
    with pytest.raises(ModelError, match="no such model folder"):
        fill(tmp_path / "none", "[MASK]")
