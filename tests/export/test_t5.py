"""T5 both ways: the same logits as transformers, the same answers of a search, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.huggingface import (
    load_encoder,
    load_encoder_decoder,
    load_for_classification,
    load_model,
    read_model,
    save_model,
)
from bertsmith.nn.generate import beam_search, greedy
from bertsmith.nn.models import EncoderDecoder, SequenceClassifier
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer
from bertsmith.types import Example
from nn.batches import T5, VOCABULARY, by_example, flat, padded, random_pairs, randomise

from .peers import TOLERANCE, unpadded

LENGTHS, DECODER_LENGTHS = (7, 30, 1, 12, 30), (4, 1, 20, 3, 17)
SHAPES: dict[str, dict[str, Any]] = {
    "t5": {},
    "one-head": {"num_heads": 1, "d_kv": 48, "num_layers": 1},
    "uneven": {"num_decoder_layers": 4, "relative_attention_num_buckets": 8},
    "near": {"relative_attention_max_distance": 20, "layer_norm_epsilon": 0.1},
}
BY_SHAPE = pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES)


def make_peer(**changes: Any) -> T5ForConditionalGeneration:
    sizes = {
        "vocab_size": VOCABULARY,
        "d_model": 48,
        "d_kv": 12,
        "d_ff": 70,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
    }
    model = T5ForConditionalGeneration(T5Config(**(sizes | changes))).eval()
    randomise(model)
    model.tie_weights()
    return model


@torch.no_grad()
def peer_logits(peer: Any, examples: list[Example]) -> list[Tensor]:
    """(m, V) for each example."""
    said = [Example(e.decoder_input_ids, e.decoder_input_ids) for e in examples]
    inputs, decoder = padded(examples), padded(said)
    logits = peer(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        decoder_input_ids=decoder["input_ids"],
    ).logits
    return unpadded(logits, said)


@torch.no_grad()
def our_logits(model: EncoderDecoder, examples: list[Example]) -> list[Tensor]:
    batch = flat(examples)
    assert batch.decoder is not None
    return by_example(model(batch) @ model.embedding.t(), batch.decoder)


def assert_same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, **TOLERANCE)


@pytest.fixture(scope="module")
def sentinels() -> Tokenizer:
    """A tokenizer with T5's special tokens."""
    text = "the cat sat on the mat and the dog ran after a cat in the rain, was it so?"
    return train_tokenizer([text] * 5, 125, "unigram", lowercase=False, special_tokens="t5")


@BY_SHAPE
def test_logits_of_transformers(changes: dict[str, Any], tmp_path: Path) -> None:
    peer = make_peer(**changes)
    peer.save_pretrained(tmp_path)
    model = load_encoder_decoder(tmp_path)
    examples = random_pairs(LENGTHS, DECODER_LENGTHS)
    assert_same(our_logits(model, examples), peer_logits(peer, examples))


def test_long_inputs_and_answers(tmp_path: Path) -> None:
    """Beyond the last bucket, and beyond what is attended to by explicit products."""
    peer = make_peer()
    peer.save_pretrained(tmp_path)
    examples = random_pairs((700, 300), (20, 530))
    assert_same(our_logits(load_encoder_decoder(tmp_path), examples), peer_logits(peer, examples))


@torch.no_grad()
def test_the_encoder_alone(tmp_path: Path) -> None:
    peer = make_peer()
    peer.save_pretrained(tmp_path)
    examples = random_pairs(LENGTHS, DECODER_LENGTHS)
    inputs, batch = padded(examples), flat(examples)
    del inputs["token_type_ids"]
    alone = transformers.T5EncoderModel.from_pretrained(tmp_path, attn_implementation="eager")
    alone.save_pretrained(tmp_path / "encoder")
    outputs = alone(**inputs, output_attentions=True)
    for folder in (tmp_path, tmp_path / "encoder"):
        encoder = load_encoder(folder)
        ours = by_example(encoder(batch), batch)
        assert_same(ours, unpadded(outputs.last_hidden_state, examples))
    for maps, theirs in zip(encoder.attention_weights(batch), outputs.attentions, strict=True):
        for index, example in enumerate(examples):
            size = len(example.input_ids)
            ours = maps[batch.indices.index(index)]
            torch.testing.assert_close(ours, theirs[index, :, :size, :size], **TOLERANCE)
    with pytest.raises(ModelError, match="has no decoder"):
        load_encoder_decoder(tmp_path / "encoder")


@pytest.mark.parametrize("num_layers", [1, 2])
def test_our_model_in_transformers(num_layers: int, sentinels: Tokenizer, tmp_path: Path) -> None:
    config = T5.model_copy(update={"num_layers": num_layers, "vocab_size": 130})
    model = EncoderDecoder(config).eval()
    randomise(model)
    save_model(tmp_path, model, sentinels)
    peer, info = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    assert type(peer).__name__ == "T5ForConditionalGeneration"
    examples = random_pairs(LENGTHS, DECODER_LENGTHS)
    assert_same(our_logits(model, examples), peer_logits(peer.eval(), examples))

    source = read_model(tmp_path)
    assert source.config == config
    again = load_model(source)
    assert isinstance(again, EncoderDecoder)
    assert not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def end_now_and_then(peer: T5ForConditionalGeneration, folder: Path) -> None:
    """Save `peer` such that its answers differ, and some of them end."""
    peer.shared.weight.data *= 3
    peer.save_pretrained(folder)
    batch = flat(random_pairs(LENGTHS, DECODER_LENGTHS))
    with torch.no_grad():
        usual_D = load_encoder_decoder(folder)(batch).mean(dim=0)
    typical = peer.shared.weight.norm(dim=1).mean()
    peer.shared.weight.data[1] = usual_D * typical / usual_D.norm()
    peer.save_pretrained(folder)


@BY_SHAPE
@pytest.mark.parametrize("penalty", [0.0, 1.0, 1.7])
@pytest.mark.parametrize("ends", [(1,), (1, 5, 9, 30)])
def test_a_search_finds_what_transformers_finds(
    changes: dict[str, Any], penalty: float, ends: tuple[int, ...], tmp_path: Path
) -> None:
    peer = make_peer(**changes)
    end_now_and_then(peer, tmp_path)
    model = load_encoder_decoder(tmp_path)
    ended = 0
    for seed in range(4):
        (example,) = random_pairs([9 + seed], [1], seed)
        ids = torch.from_numpy(example.input_ids)[None]
        # Its cache has no room for more layers than the encoder has.
        options = {"max_new_tokens": 12, "do_sample": False, "use_cache": False}
        beams = {"num_beams": 4, "num_return_sequences": 4, "length_penalty": penalty}
        theirs = peer.generate(ids, **options, **beams, eos_token_id=list(ends))
        with torch.no_grad():
            memory = model.begin(flat([example]))
        found = beam_search(model.step, memory, 0, ends, 12, 4, penalty)
        for ours, their in zip(found, theirs[:, 1:].tolist(), strict=True):
            assert list(ours.ids) == their[: len(ours.ids)]
            assert set(their[len(ours.ids) :]) <= {0, 1}
            ended += ours.ids[-1] in ends
        best = peer.generate(ids, **options)[0, 1:].tolist()
        answer = greedy(model.step, memory, 0, 1, 12)
        assert list(answer.ids) == best[: len(answer.ids)]
    assert ended


def test_the_tokenizer_in_transformers(sentinels: Tokenizer, tmp_path: Path) -> None:
    config = T5.model_copy(update={"vocab_size": sentinels.vocab_size})
    save_model(tmp_path, EncoderDecoder(config), sentinels)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("the cat <extra_id_0> on the<extra_id_1>", "The <extra_id_99> dog"):
        encoded = theirs(text)
        assert encoded["input_ids"] == sentinels.encode(text).ids
        assert encoded["input_ids"][-1] == theirs.eos_token_id == sentinels.sep_id
        assert "token_type_ids" not in encoded
    assert theirs.pad_token_id == sentinels.pad_id
    again = Tokenizer.load(tmp_path)
    assert again.sentinel_ids == sentinels.sentinel_ids
    assert len(again.sentinel_ids) == 100
    assert (again.pad_id, again.sep_id) == (0, 1)


def test_its_encoder_can_be_fine_tuned(sentinels: Tokenizer, tmp_path: Path) -> None:
    config = T5.model_copy(update={"vocab_size": sentinels.vocab_size})
    pretrained = EncoderDecoder(config)
    save_model(tmp_path / "m", pretrained, sentinels)
    model = load_for_classification(tmp_path / "m", 3)
    assert torch.equal(model.encoder.embeddings.word.weight, pretrained.embedding)
    save_model(tmp_path / "tuned", model, sentinels, labels=("a", "b", "c"))
    source = read_model(tmp_path / "tuned")
    assert source.family == "bertsmith"
    assert isinstance(load_model(source), SequenceClassifier)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feed_forward_proj": "gated-gelu"}, "feed_forward_proj 'gated-gelu' is not supported"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings False is not supported"),
        ({"d_kv": 16}, "num_heads 4 of d_kv 16 do not make its d_model"),
        ({"d_kv": [12]}, "do not make its d_model"),
        ({"num_decoder_layers": -1}, "num_decoder_layers"),
        ({"relative_attention_num_buckets": 30}, "multiple of 4"),
    ],
)
def test_what_we_could_not_compute_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    make_peer().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        read_model(tmp_path)


def test_another_output_matrix_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    make_peer().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"lm_head.weight": tensors["shared.weight"].clone()}, path)
    load_encoder_decoder(tmp_path)
    save_file(tensors | {"lm_head.weight": tensors["shared.weight"] + 1}, path)
    with pytest.raises(ModelError, match="output matrix that is not the word embedding"):
        read_model(tmp_path)


@pytest.mark.parametrize("change", [{"scale_logits": False}, {"inner_dropout": 0.2}])
def test_an_ablation_is_written_in_our_own_format(
    change: dict[str, Any], sentinels: Tokenizer, tmp_path: Path
) -> None:
    config = ModelConfig(**(T5.model_dump() | {"vocab_size": 130} | change))
    model = EncoderDecoder(config)
    save_model(tmp_path, model, sentinels)
    source = read_model(tmp_path)
    assert (source.family, source.config) == ("bertsmith", config)
    again = load_model(source)
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
