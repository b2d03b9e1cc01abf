"""A language model: no token sees those after it, and each is asked for once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from bertsmith.data.loader import sequential_batches
from bertsmith.errors import ModelError
from bertsmith.export.huggingface import save_model
from bertsmith.jobs.fill import fill
from bertsmith.jobs.pretrain import pretrain
from bertsmith.jobs.preview import preview
from bertsmith.jobs.setup import prepare
from bertsmith.nn.losses import next_token_loss
from bertsmith.nn.models import MaskedLM
from bertsmith.text.corpus import Corpus

from .toy import config, make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("left_to_right", tmp_path_factory.mktemp("corpus") / "c")


def test_every_token_is_predicted_from_those_before_it(corpus: Corpus) -> None:
    setup = prepare(config("left_to_right"), corpus)
    batch = next(sequential_batches(setup.sources[0], 256))
    network = setup.model().eval()
    assert isinstance(network, MaskedLM)
    with torch.no_grad():
        before = network.encoder(batch)
        changed = batch.input_ids.clone()
        last = batch.lengths[0] - 2
        changed[last] = (changed[last] + 1) % corpus.tokenizer().vocab_size
        object.__setattr__(batch, "input_ids", changed)
        after = network.encoder(batch)
    moved = (before != after).any(dim=1)
    assert not moved[:last].any()
    assert moved[last : batch.lengths[0]].all()
    positions, labels = batch.targets["mlm_positions"], batch.targets["mlm_labels"]
    assert len(positions) == batch.num_tokens - batch.num_sequences
    kept = positions + 1 != last  # its own label is of the text as it was
    assert torch.equal(labels[kept], batch.input_ids[positions + 1][kept])


def test_the_preview_shows_the_text_as_it_is(corpus: Corpus, tmp_path: Path) -> None:
    found = preview(config("left_to_right"), corpus, samples=2, html=tmp_path / "page.html")
    assert found.rates.keys() == {"measured", "length", "predicted"}
    assert not found.legend
    fates = {t.fate for passage in found.passages for line in passage.lines for t in line}
    assert fates == {"plain", "special"}
    assert "Above each chosen token" not in (tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize("network", [{}, {"norm": "pre", "positions": "rotary"}], ids=str)
def test_attention_maps_are_causal(corpus: Corpus, network: dict[str, str]) -> None:
    setup = prepare(config("left_to_right", model=network), corpus)
    batch = next(sequential_batches(setup.sources[0], 256))
    encoder = setup.model().float().eval().encoder
    for maps in encoder.attention_weights(batch):  # type: ignore[operator]
        for one in maps:
            assert torch.equal(one, one.tril())
            torch.testing.assert_close(one.sum(-1), torch.ones(one.shape[:-1]))


def test_losses_are_those_of_transformers(corpus: Corpus, tmp_path: Path) -> None:
    """Its BERT as a decoder has the same tensors under the names of a masked LM."""
    ours = config("left_to_right").model.model_copy(
        update={"vocab_size": corpus.tokenizer().vocab_size, "dropout": 0.0}
    )
    torch.manual_seed(0)
    network = MaskedLM(ours, next_sentence=False).eval()
    twin = MaskedLM(ours.model_copy(update={"causal": False, "pooling": "cls"}), False)
    twin.load_state_dict(network.state_dict())
    setup = prepare(config("left_to_right"), corpus)
    batch = next(sequential_batches(setup.sources[0], 256))
    with torch.no_grad():
        loss = next_token_loss(network, batch, network(batch))["lm_loss"]
    save_model(tmp_path / "twin", twin, corpus.tokenizer())
    theirs = transformers.BertLMHeadModel.from_pretrained(tmp_path / "twin", is_decoder=True).eval()
    total, count = 0.0, 0
    for ids in batch.input_ids.split(list(batch.lengths)):
        with torch.no_grad():
            mean = theirs(ids[None], labels=ids[None]).loss
        total, count = total + float(mean) * (len(ids) - 1), count + len(ids) - 1
    assert float(loss) == pytest.approx(total / count, abs=1e-5)


def test_it_fills_no_masks(corpus: Corpus, tmp_path: Path) -> None:
    run = pretrain(config("left_to_right", budget={"steps": 2}), corpus, tmp_path / "run")
    with pytest.raises(ModelError, match="reads from left to right"):
        fill(run.model, "the [MASK] sees the dog")
