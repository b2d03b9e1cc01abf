"""T5 for small budgets: where its heads look at first, what it is asked, what it leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from bertsmith.config import ModelConfig
from bertsmith.data.pack import collate
from bertsmith.export.huggingface import load_encoder_decoder
from bertsmith.jobs.pretrain import pretrain
from bertsmith.jobs.preview import preview
from bertsmith.jobs.setup import prepare
from bertsmith.nn.models import EncoderDecoderWithMaskedLM
from bertsmith.recipes import modern_t5, t5
from bertsmith.text.corpus import Corpus
from bertsmith.types import Example

from .toy import config, make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus("modern_t5", tmp_path_factory.mktemp("corpus") / "c")


def published(**changes: int) -> ModelConfig:
    return modern_t5.RECIPE.config.model.model_copy(update={"vocab_size": 300, **changes})


@pytest.mark.parametrize("heads", [1, 2, 8])
@torch.no_grad()
def test_the_first_heads_look_at_the_neighbours(heads: int) -> None:
    """And the others, and the decoder's, as T5's do; whatever the number of heads."""
    torch.manual_seed(0)
    model = modern_t5.model(published(num_heads=heads))
    length, middle = 41, 20
    ids = torch.randint(3, 300, (length,)).numpy()
    batch = collate([Example(ids, np.zeros_like(ids))], [0])
    positions = model.network.encoder.relative
    assert positions is not None
    bias = positions(length)[0, :, middle]
    expected = {0: [-1], 1: [1], 2: [-3, -2, -1], 3: [1, 2, 3]}
    for head in range(heads):
        preferred = (bias[head] > modern_t5.PREFERENCE / 2).nonzero()[:, 0] - middle
        assert preferred.tolist() == expected.get(head, []), head
    first_layer, *_ = model.network.encoder.attention_weights(batch)
    assert float(first_layer[0][0].diagonal(-1).mean()) > 10 / length
    decoder = model.network.decoder.relative
    assert decoder is not None
    assert float(decoder.table.weight.abs().max()) < modern_t5.PREFERENCE / 2


def test_the_encoder_is_asked_apart_from_the_decoder(corpus: Corpus) -> None:
    """Its masked LM reaches the encoder and the words, and nothing of the decoder."""
    setup = prepare(config("modern_t5", precision="float32"), corpus)
    model = setup.model()
    assert isinstance(model, EncoderDecoderWithMaskedLM)
    batch = setup.heldout_batches()[0]
    total, named = modern_t5.loss(model, batch)
    torch.testing.assert_close(total, named["decoder_loss"] + named["mlm_loss"])
    plain, _ = t5.loss(model.network, batch)
    torch.testing.assert_close(named["decoder_loss"], plain)
    logits = model.mlm_head(model.network.encoder(batch), model.embedding)
    at, labels = batch.targets["mlm_positions"], batch.targets["mlm_labels"]
    expected = torch.nn.functional.cross_entropy(logits[at], labels)
    torch.testing.assert_close(named["mlm_loss"], expected)
    named["mlm_loss"].backward()
    reached = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert not any(name.startswith("network.decoder.") for name in reached)
    assert any(name.startswith("network.encoder.layers.0") for name in reached)
    assert {"mlm_head.transform.dense.weight", "mlm_head.bias"} < reached


def test_what_it_leaves_is_a_t5(corpus: Corpus, tmp_path: Path) -> None:
    """The head is gone, and the decoder's loss is the one that transformers finds."""
    wanted = config("modern_t5", precision="float32")
    run = pretrain(wanted, corpus, tmp_path / "run")
    assert {"decoder_loss", "mlm_loss", "loss"} < set(run.evaluation)
    ours = load_encoder_decoder(run.model)
    peer, info = transformers.T5ForConditionalGeneration.from_pretrained(
        run.model, output_loading_info=True
    )
    assert not any(info.values())
    example = prepare(wanted, corpus).heldout[0].example(0, 0)
    batch = collate([example], [0])
    assert batch.decoder is not None
    labels = batch.decoder.targets["decoder_labels"]
    with torch.no_grad():
        logits = ours(batch) @ ours.embedding.t()
        theirs = peer(input_ids=batch.input_ids[None], labels=labels[None])
    torch.testing.assert_close(logits, theirs.logits[0], atol=1e-4, rtol=1e-4)


def test_the_preview_says_who_is_asked(corpus: Corpus) -> None:
    found = preview(config("modern_t5"), corpus, samples=2)
    assert found.rates["predicted"].startswith("by the encoder, the first token of each span")
    assert found.rates["cut out"].startswith("1")
    assert not {"chosen", "in their place"} & set(found.rates)
