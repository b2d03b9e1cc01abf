"""What T5 adds to a recipe: its first weights, its tokenizer, what the preview shows of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bertsmith.errors import CorpusError
from bertsmith.jobs.preview import preview
from bertsmith.jobs.setup import prepare
from bertsmith.nn.attention import SelfAttention
from bertsmith.recipes.base import find
from bertsmith.text.corpus import Corpus

from .toy import config, make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("t5", tmp_path_factory.mktemp("corpus") / "c")


def test_first_weights_keep_the_size_of_what_they_read() -> None:
    """Scores of attention and over the vocabulary have a deviation of about 1."""
    torch.manual_seed(0)
    published = find("t5").config.model
    model = find("t5").model(published.model_copy(update={"vocab_size": 3000}))
    hidden = torch.randn(500, published.hidden_size)
    attention = model.decoder.layers[1].attention
    assert isinstance(attention, SelfAttention)
    with torch.no_grad():
        q, k, v = attention._project(hidden)[:, :, 0].unbind(1)
        assert float((q @ k.t()).std()) == pytest.approx(1.0, rel=0.1)
        assert float(v.std()) == pytest.approx(1.0, rel=0.1)
        logits = hidden * model.logit_scale @ model.embedding.t()
    assert float(logits.std()) == pytest.approx(1.0, rel=0.1)
    table = model.encoder.relative.table.weight.detach()
    assert float(table.std()) == pytest.approx(published.hidden_size**-0.5, rel=0.3)


def test_a_corpus_without_sentinels_is_refused(tmp_path: Path) -> None:
    plain = make_corpus("albert", tmp_path / "c")
    with pytest.raises(CorpusError, match=r"no <extra_id_0>; make one with .* --recipe t5"):
        prepare(config("t5"), plain)


def test_the_preview_shows_what_the_decoder_says(corpus: Corpus) -> None:
    found = preview(config("t5", data={"mask_rate": 0.3}), corpus, samples=2)
    share, _, length = found.rates["cut out"].partition(" % of the tokens, in spans of ")
    assert float(share) == pytest.approx(30, abs=3)
    assert float(length.split()[0]) == pytest.approx(3, abs=0.5)
    for passage in found.passages:
        read, said = ([token.text for token in line] for line in passage.lines)
        assert read[-1] == said[-1] == "</s>"
        assert said[0] == "<extra_id_0>"
        assert "<extra_id_0>" in read
