"""The same numbers as transformers, both ways, for every architecture and odd shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.huggingface import (
    load_classifier,
    load_encoder,
    load_for_classification,
    load_masked_lm,
    load_model,
    load_replaced_token_detector,
    read_model,
    save_model,
)
from bertsmith.nn.heads import Pooler, Transform
from bertsmith.nn.models import MaskedLM, ReplacedTokenDetector, SequenceClassifier
from bertsmith.text.pipeline import Kind
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer
from bertsmith.types import Batch, Example
from nn.batches import VOCABULARY, by_example, flat, random_examples, randomise

from .peers import TOLERANCE, make_peer, run_peer, unpadded

LENGTHS = (7, 30, 1, 12, 30)
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", {}),
    "bert-one-head": ("Bert", {"num_attention_heads": 1, "num_hidden_layers": 1}),
    "bert-sixteen-heads": ("Bert", {"num_attention_heads": 16, "num_hidden_layers": 5}),
    "bert-one-token-type": ("Bert", {"type_vocab_size": 1, "layer_norm_eps": 0.1}),
    "bert-tanh": ("Bert", {"hidden_act": "gelu_new"}),
    "albert": ("Albert", {}),
    "albert-twelve-layers": ("Albert", {"num_hidden_layers": 12, "num_attention_heads": 1}),
    "albert-exact-gelu": ("Albert", {"hidden_act": "gelu", "type_vocab_size": 1}),
    "albert-of-one-width": ("Albert", {"embedding_size": 48}),
    "electra": ("Electra", {}),
    "electra-of-one-width": ("Electra", {"embedding_size": 48, "type_vocab_size": 1}),
    "electra-wide-embeddings": ("Electra", {"embedding_size": 60, "num_hidden_layers": 5}),
    "bert-untied": ("Bert", {"tie_word_embeddings": False}),
    "albert-untied": ("Albert", {"tie_word_embeddings": False}),
    "electra-untied": ("Electra", {"tie_word_embeddings": False}),
    "roberta": ("Roberta", {}),
    "roberta-one-head": ("Roberta", {"num_attention_heads": 1, "num_hidden_layers": 1}),
    "roberta-sixteen-heads": ("Roberta", {"num_attention_heads": 16, "num_hidden_layers": 5}),
    "roberta-two-token-types": ("Roberta", {"type_vocab_size": 2, "layer_norm_eps": 0.1}),
    "roberta-untied": ("Roberta", {"tie_word_embeddings": False}),
    "distilbert": ("DistilBert", {}),
    "distilbert-sixteen-heads": ("DistilBert", {"n_heads": 16, "n_layers": 5}),
    "distilbert-sines": ("DistilBert", {"sinusoidal_pos_embds": True, "n_heads": 1}),
    "distilbert-untied": ("DistilBert", {"tie_word_embeddings": False}),
    "modernbert": ("ModernBert", {}),
    "modernbert-untied": ("ModernBert", {"tie_word_embeddings": False}),
    "modernbert-mean": ("ModernBert", {"classifier_pooling": "mean"}),
    "modernbert-one-head": ("ModernBert", {"num_attention_heads": 1, "num_hidden_layers": 1}),
    "modernbert-eight-heads": ("ModernBert", {"num_attention_heads": 8, "num_hidden_layers": 5}),
    "modernbert-biases": (
        "ModernBert",
        dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias", "classifier_bias"), True),
    ),
}
BY_SHAPE = pytest.mark.parametrize(("family", "changes"), SHAPES.values(), ids=SHAPES)
OURS: dict[str, ModelConfig] = {
    "bert": ModelConfig(
        vocab_size=VOCABULARY, num_layers=3, num_heads=3, hidden_size=36, intermediate_size=50
    ),
    "bert-one-token-type": ModelConfig(
        vocab_size=VOCABULARY,
        num_layers=1,
        num_heads=1,
        hidden_size=20,
        intermediate_size=8,
        type_vocab_size=1,
        max_position_embeddings=40,
        feed_forward="gelu_tanh",
    ),
    "albert": ModelConfig(
        vocab_size=VOCABULARY,
        num_layers=4,
        num_heads=3,
        hidden_size=36,
        embedding_size=10,
        share="all",
        intermediate_size=50,
        feed_forward="gelu_tanh",
    ),
    "electra": ModelConfig(
        vocab_size=VOCABULARY,
        num_layers=2,
        num_heads=3,
        hidden_size=36,
        embedding_size=10,
        pooler="gelu",
        intermediate_size=50,
    ),
    "electra-of-one-width": ModelConfig(
        vocab_size=VOCABULARY,
        num_layers=1,
        num_heads=2,
        hidden_size=20,
        pooler="gelu",
        intermediate_size=30,
        type_vocab_size=1,
    ),
    "modernbert": ModelConfig(
        vocab_size=VOCABULARY,
        num_layers=3,
        num_heads=3,
        hidden_size=36,
        intermediate_size=50,
        type_vocab_size=0,
        norm="pre",
        positions="rotary",
        feed_forward="geglu",
        bias=False,
        rope_theta=777.0,
        layer_norm_eps=1e-5,
    ),
}
OURS["roberta"] = OURS["bert"].model_copy(
    update={"position_offset": 1, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
)
OURS["distilbert"] = OURS["bert"].model_copy(update={"pooler": "relu", "type_vocab_size": 0})
OURS |= {
    f"{name}-untied": OURS[name].model_copy(update={"tied": False})
    for name in ("bert", "albert", "roberta", "distilbert", "modernbert")
}
OURS["modernbert-mean"] = OURS["modernbert"].model_copy(update={"pooling": "mean"})
BY_OURS = pytest.mark.parametrize("config", OURS.values(), ids=OURS)


def assert_same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, **TOLERANCE)


def all_logits(model: MaskedLM, batch: Batch) -> list[Tensor]:
    return by_example(model.scores(model(batch), torch.arange(batch.num_tokens)), batch)


def pair_logits(model: MaskedLM, batch: Batch) -> Tensor:
    """(B, 2), in the order of the examples."""
    head = model.next_sentence_head or model.sentence_order_head
    assert head is not None
    logits = head(model(batch), batch.lengths)
    return logits[[batch.indices.index(i) for i in range(batch.num_sequences)]]


def pair_logits_of(outputs: Any) -> Tensor:
    name = "sop_logits" if "sop_logits" in outputs else "seq_relationship_logits"
    return outputs[name]


def class_logits(model: SequenceClassifier, batch: Batch) -> Tensor:
    logits = model(batch)
    return torch.stack([logits[batch.indices.index(i)] for i in range(batch.num_sequences)])


def examples_for(config: ModelConfig, lengths: tuple[int, ...] = LENGTHS) -> list[Example]:
    return random_examples(lengths, config.type_vocab_size)


@BY_SHAPE
@torch.no_grad()
def test_encoder_of_transformers(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    """Every layer's vectors and attention maps, of a folder without any head."""
    peer = make_peer(f"{family}Model", **changes)
    peer.save_pretrained(tmp_path)
    peer.set_attn_implementation("eager")
    encoder = load_encoder(tmp_path)
    examples = examples_for(encoder.config)
    batch = flat(examples)
    expected = run_peer(peer, examples, output_hidden_states=True, output_attentions=True)
    states = list(encoder.hidden_states(batch))
    assert len(states) == len(expected.hidden_states)
    for ours, theirs in zip(states, expected.hidden_states, strict=True):
        assert_same(by_example(ours, batch), unpadded(theirs, examples))
    for maps, theirs in zip(encoder.attention_weights(batch), expected.attentions, strict=True):
        for index, example in enumerate(examples):
            size = len(example.input_ids)
            ours = maps[batch.indices.index(index)]
            torch.testing.assert_close(ours, theirs[index, :, :size, :size], **TOLERANCE)


@pytest.mark.parametrize(
    "family", ["Bert", "Albert", "Electra", "Roberta", "DistilBert", "ModernBert"]
)
@pytest.mark.parametrize("lengths", [(1,), (512,), (512, 1, 511, 77)])
@torch.no_grad()
def test_extreme_lengths(family: str, lengths: tuple[int, ...], tmp_path: Path) -> None:
    peer = make_peer(f"{family}Model")
    peer.save_pretrained(tmp_path)
    encoder = load_encoder(tmp_path)
    examples = examples_for(encoder.config, lengths)
    batch = flat(examples)
    expected = run_peer(peer, examples).last_hidden_state
    assert_same(by_example(encoder(batch), batch), unpadded(expected, examples))


@BY_SHAPE
@torch.no_grad()
def test_masked_lm_of_transformers(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    peer = make_peer(f"{family}ForMaskedLM", **changes)
    peer.save_pretrained(tmp_path)
    model = load_masked_lm(tmp_path)
    assert model.next_sentence_head is None
    examples = examples_for(model.encoder.config)
    expected = run_peer(peer, examples).logits
    assert_same(all_logits(model, flat(examples)), unpadded(expected, examples))


@pytest.mark.parametrize("family", ["Bert", "Albert"])
@torch.no_grad()
def test_pretraining_model_of_transformers(family: str, tmp_path: Path) -> None:
    peer = make_peer(f"{family}ForPreTraining")
    peer.save_pretrained(tmp_path)
    model = load_masked_lm(tmp_path)
    examples = examples_for(model.encoder.config)
    batch = flat(examples)
    expected = run_peer(peer, examples)
    assert_same(all_logits(model, batch), unpadded(expected.prediction_logits, examples))
    torch.testing.assert_close(pair_logits(model, batch), pair_logits_of(expected), **TOLERANCE)


@pytest.mark.parametrize("embedding_size", [20, 48])
@torch.no_grad()
def test_replaced_token_detector_of_transformers(embedding_size: int, tmp_path: Path) -> None:
    peer = make_peer("ElectraForPreTraining", embedding_size=embedding_size)
    peer.save_pretrained(tmp_path)
    model = load_replaced_token_detector(tmp_path)
    examples = examples_for(model.encoder.config)
    batch = flat(examples)
    expected = run_peer(peer, examples).logits
    assert_same(by_example(model(batch), batch), unpadded(expected, examples))
    with pytest.raises(
        ModelError, match="no masked-LM head: it is a ElectraForPreTraining; give the gen"
    ):
        load_masked_lm(tmp_path)


@pytest.mark.parametrize("name", ["electra", "electra-of-one-width"])
@torch.no_grad()
def test_our_replaced_token_detector_in_transformers(
    name: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = ReplacedTokenDetector(OURS[name]).eval()
    randomise(model)
    save_model(tmp_path, model, tokenizer)
    examples = examples_for(OURS[name])
    batch = flat(examples)
    peer = from_pretrained(transformers.AutoModelForPreTraining, tmp_path)
    assert isinstance(peer, transformers.ElectraForPreTraining)
    assert_same(
        by_example(model(batch), batch), unpadded(run_peer(peer, examples).logits, examples)
    )
    again = load_model(tmp_path)
    assert isinstance(again, ReplacedTokenDetector)
    assert torch.equal(again(batch), model(batch))
    assert read_model(tmp_path).config == OURS[name]
    tuned = load_for_classification(tmp_path, 3)
    assert torch.equal(tuned.encoder.embeddings.word.weight, model.encoder.embeddings.word.weight)
    make_peer("BertForMaskedLM").save_pretrained(tmp_path / "bert")
    with pytest.raises(ModelError, match="no replaced-token head: it is a BertForMaskedLM"):
        load_replaced_token_detector(tmp_path / "bert")


@BY_SHAPE
@pytest.mark.parametrize("num_labels", [1, 2, 7])
@torch.no_grad()
def test_classifier_of_transformers(
    family: str, changes: dict[str, Any], num_labels: int, tmp_path: Path
) -> None:
    peer = make_peer(f"{family}ForSequenceClassification", num_labels=num_labels, **changes)
    peer.save_pretrained(tmp_path)
    model = load_classifier(tmp_path)
    examples = examples_for(model.encoder.config)
    expected = run_peer(peer, examples).logits
    torch.testing.assert_close(class_logits(model, flat(examples)), expected, **TOLERANCE)
    assert read_model(tmp_path).labels == tuple(f"LABEL_{i}" for i in range(num_labels))


@pytest.mark.parametrize(
    ("config", "pairs"),
    [
        (OURS["bert"], "next_sentence"),
        (OURS["albert"], "sentence_order"),
        *((config, "") for config in OURS.values()),
    ],
    ids=["bert-with-pairs", "albert-with-pairs", *OURS],
)
@torch.no_grad()
def test_our_pretrained_model_in_transformers(
    config: ModelConfig, pairs: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = MaskedLM(config, pairs == "next_sentence", pairs == "sentence_order").eval()
    randomise(model)
    save_model(tmp_path, model, tokenizer)
    examples = examples_for(config)
    batch = flat(examples)
    peer = from_pretrained(
        transformers.AutoModelForMaskedLM,
        tmp_path,
        allowed={"bert.pooler", "cls.seq", "albert.pooler", "sop_classifier"},
    )
    assert_same(all_logits(model, batch), unpadded(run_peer(peer, examples).logits, examples))
    vectors = from_pretrained(transformers.AutoModel, tmp_path, heads=True, pooler=bool(pairs))
    expected = run_peer(vectors, examples).last_hidden_state
    assert_same(by_example(model(batch), batch), unpadded(expected, examples))
    own = from_pretrained(getattr(transformers, read_model(tmp_path).architecture), tmp_path)
    if pairs:
        expected = pair_logits_of(run_peer(own, examples))
        torch.testing.assert_close(pair_logits(model, batch), expected, **TOLERANCE)


@BY_OURS
@torch.no_grad()
def test_our_classifier_in_transformers(
    config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    labels = ("bad", "neither", "très bien")
    model = SequenceClassifier(config, 3).eval()
    randomise(model)
    save_model(tmp_path, model, tokenizer, labels=labels)
    examples = examples_for(config)
    peer = from_pretrained(transformers.AutoModelForSequenceClassification, tmp_path)
    expected = run_peer(peer, examples).logits
    torch.testing.assert_close(class_logits(model, flat(examples)), expected, **TOLERANCE)
    assert peer.config.id2label == dict(enumerate(labels))
    assert peer.config.label2id == {label: index for index, label in enumerate(labels)}
    pooler = not config.position_offset  # RoBERTa's classifiers have a layer of their own
    from_pretrained(transformers.AutoModel, tmp_path, heads=True, pooler=pooler)


def from_pretrained(
    kind: Any,
    folder: Path,
    *,
    heads: bool = False,
    pooler: bool = True,
    allowed: set[str] = frozenset(),
) -> Any:
    """Load with transformers; nothing missing, nothing left over.

    A bare model leaves over the heads of what it is loaded from, and BERT's bare model makes
    a pooler of its own where a masked LM has none: both are transformers' own doing.
    """
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    missing = {name for name in info["missing_keys"] if pooler or "pooler" not in name}
    strange = {
        name
        for name in info["unexpected_keys"]
        if not heads and not name.startswith(tuple(allowed))
    }
    assert not missing
    assert not strange
    assert not info["mismatched_keys"]
    return model.eval()


@BY_OURS
def test_tokenizer_in_transformers(
    config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    save_model(tmp_path, MaskedLM(config, next_sentence=False), tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for pair in (None, "on the mat?"):
        encoded = theirs("the dog sat", pair, return_offsets_mapping=True)
        ours = tokenizer.encode("the dog sat", pair)
        assert encoded["input_ids"] == ours.ids
        assert encoded["offset_mapping"] == ours.offsets
        assert encoded["token_type_ids"] == ours.type_ids
    assert theirs.model_max_length == config.max_position_embeddings
    content = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert content["pad_token_id"] == theirs.pad_token_id == tokenizer.pad_id
    fill = transformers.pipeline("fill-mask", model=str(tmp_path), device="cpu")
    assert len(fill(f"the {theirs.mask_token} sat")) == 5


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_an_albert_keeps_a_tokenizer_of_any_kind(kind: Kind, tmp_path: Path) -> None:
    text = "the cat sat on the mat and the dog ran after a cat in the rain, was it so?"
    tokenizer = train_tokenizer([text] * 5, 25 if kind == "unigram" else 280, kind)
    config = OURS["albert"].model_copy(update={"vocab_size": tokenizer.vocab_size})
    save_model(tmp_path, MaskedLM(config, False, sentence_order=True), tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs("The dog sat", "so?")["input_ids"] == tokenizer.encode("The dog sat", "so?").ids
    assert theirs("a [MASK]")["input_ids"][-2] == theirs.mask_token_id == tokenizer.mask_id


@BY_OURS
@pytest.mark.parametrize("kind", ["pretrained", "classifier"])
def test_what_we_save_we_read_bit_for_bit(
    config: ModelConfig, kind: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = (
        MaskedLM(config, next_sentence=config.norm == "post")
        if kind == "pretrained"
        else SequenceClassifier(config, 4, dropout=0.3)
    )
    randomise(model)
    save_model(tmp_path, model, tokenizer)
    source = read_model(tmp_path)
    assert source.config == config
    again = load_masked_lm(source) if kind == "pretrained" else load_classifier(source)
    assert not again.training
    assert again.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert {n for n, p in again.named_parameters() if p.requires_grad} == set(model.state_dict())
    if isinstance(again, SequenceClassifier):
        assert again.head.dropout.rate == 0.3


@BY_OURS
def test_fine_tuning_starts_from_what_pre_training_left(
    config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pretrained = MaskedLM(config, next_sentence=config.norm == "post")
    randomise(pretrained)
    save_model(tmp_path, pretrained, tokenizer)

    def start(seed: int) -> SequenceClassifier:
        torch.manual_seed(seed)
        return load_for_classification(tmp_path, 3, dropout=0.2, encoder_dropout=0.25)

    model, same, other = start(0), start(0), start(1)
    assert model.training
    for name, tensor in pretrained.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], tensor), name
    left = (
        pretrained.mlm_head.transform
        if pretrained.next_sentence_head is None
        else pretrained.next_sentence_head.pooler
    )
    assert isinstance(model.head.transform, Transform if config.norm == "pre" else Pooler)
    for name, tensor in left.state_dict().items():
        assert torch.equal(model.head.transform.state_dict()[name], tensor), name
    assert torch.equal(model.head.classifier.weight, same.head.classifier.weight)
    assert not torch.equal(model.head.classifier.weight, other.head.classifier.weight)
    rates = (model.head.dropout, model.encoder.embeddings.dropout, model.encoder.layers[0].dropout)
    assert [dropout.rate for dropout in rates] == [0.2, 0.25, 0.25]
    assert model.encoder.layers[0].attention.dropout.rate == 0.25
    assert load_for_classification(tmp_path, 3).encoder.config == config
    weight = model.encoder.embeddings.word.weight
    with torch.no_grad():
        weight.add_(1)  # one model's weights are no other's, and not the file's
    kept = pretrained.encoder.embeddings.word.weight
    assert torch.equal(load_encoder(tmp_path).embeddings.word.weight, kept)


def test_an_encoder_without_a_pooler_gets_a_fresh_one(tmp_path: Path) -> None:
    make_peer("BertForMaskedLM").save_pretrained(tmp_path)
    source = read_model(tmp_path)
    assert not source.has("pooler")
    model = load_for_classification(source, 2)
    assert model.head.transform.dense.weight.std() > 0
