"""Folders that are broken, hostile or of another kind: one line, before anything is allocated."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from bertsmith.errors import ModelError
from bertsmith.export.huggingface import (
    load_classifier,
    load_encoder,
    load_for_classification,
    load_masked_lm,
    load_tokenizer,
    read_model,
)
from bertsmith.export.networks import load_choice_model
from bertsmith.text.pipeline import SPECIAL_TOKENS

from .peers import make_peer

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of a sound folder of each kind, by architecture."""
    folders = {}
    for architecture in (
        "BertForPreTraining",
        "BertForSequenceClassification",
        "BertForTokenClassification",
        "AlbertForPreTraining",
        "ElectraForPreTraining",
        "RobertaForMaskedLM",
        "DistilBertForMaskedLM",
        "ModernBertForMaskedLM",
    ):
        folder = tmp_path_factory.mktemp(architecture)
        make_peer(architecture).save_pretrained(folder)
        folders[architecture] = {
            name: (folder / name).read_bytes() for name in ("config.json", WEIGHTS)
        }
    return folders


@pytest.fixture
def folder(sound: dict[str, dict[str, bytes]], tmp_path: Path) -> Path:
    return lay_out(sound["BertForPreTraining"], tmp_path / "model")


def lay_out(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def change_config(folder: Path, **changes: Any) -> None:
    """Set keys of config.json; None takes a key away."""
    content = json.loads((folder / "config.json").read_bytes()) | changes
    content = {key: value for key, value in content.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(content), "utf-8")


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def refusal(folder: Path, load: Callable[[Path], object] = read_model) -> str:
    """The one line that refuses `folder`; the process grew by next to nothing."""
    before = psutil.Process().memory_info().rss
    with pytest.raises(ModelError) as caught:
        load(folder)
    assert psutil.Process().memory_info().rss - before < 64 << 20
    line = str(caught.value)
    assert "\n" not in line
    assert str(folder) in line
    assert len(line) < 600
    return line


def test_sound_folders_are_read(sound: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    for architecture, files in sound.items():
        assert read_model(lay_out(files, tmp_path / architecture)).architecture == architecture


def test_missing_folder_or_file(folder: Path, tmp_path: Path) -> None:
    assert "no such model folder" in refusal(tmp_path / "nowhere")
    assert "no such model folder" in refusal(folder / "config.json")
    (folder / WEIGHTS).unlink()
    assert f"has no {WEIGHTS}; give" in refusal(folder)
    (folder / "config.json").unlink()
    assert "has no config.json; give" in refusal(folder)


def test_pickles_and_shards_are_not_opened(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
    assert "pickle (pytorch_model.bin)" in refusal(folder)
    (folder / f"{WEIGHTS}.index.json").write_text('{"weight_map": {"a": "../../etc/passwd"}}')
    assert "in several files" in refusal(folder)


def test_what_is_no_file_is_not_read(folder: Path) -> None:
    """A pipe would wait for ever, a folder has no bytes."""
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)
    assert f"has no {WEIGHTS}" in refusal(folder)
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    assert "has no config.json" in refusal(folder)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"vocab_size": ' + b"9" * 10_000 + b"}", "is not JSON"),
        (b"[1, 2]", "is not a JSON object"),
        (b'"bert"', "is not a JSON object"),
        (b"{}", "is of model_type None"),
        (b'{"model_type": "llama"}', "is of model_type 'llama'; use one of bert, albert, electra"),
        (b'{"model_type": ["bert"]}', "is of model_type ['bert']"),
        (b'{"model_type": "bert"}', "lacks num_hidden_layers, num_attention_heads"),
        (b'{"model_type": "bertsmith"}', 'has no table "model"'),
        (b'{"model_type": "bertsmith", "model": {"rope": 1}}', "unknown key 'rope'"),
        (b'{"model_type": "bertsmith", "model": {}}', "vocab_size 0 is not between"),
    ],
)
def test_config_that_is_none(folder: Path, content: bytes, reason: str) -> None:
    (folder / "config.json").write_bytes(content)
    assert reason in refusal(folder)


def test_config_too_large_to_be_one(folder: Path) -> None:
    with (folder / "config.json").open("r+b") as file:
        file.truncate(1 << 40)
    assert "too large for a config" in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "code of its own"),
        ({"hidden_size": 10**9}, "hidden_size"),
        ({"hidden_size": 65536}, "has the shape [99, 48], where config.json says [99, 65536]"),
        ({"hidden_size": -4}, "hidden_size"),
        ({"hidden_size": "many"}, "hidden_size"),
        ({"hidden_size": 48.5}, "hidden_size"),
        ({"vocab_size": 10**15}, "vocab_size 1000000000000000 is not between"),
        ({"vocab_size": 100}, "[99, 48], where config.json says [100, 48]"),
        ({"num_hidden_layers": 10**9}, "num_layers"),
        ({"num_hidden_layers": 512}, "lacks bert.encoder.layer.2."),
        ({"num_hidden_layers": 3}, "lacks bert.encoder.layer.2.attention.self.query.weight"),
        ({"num_hidden_layers": 1}, "tensors that config.json knows nothing of"),
        ({"num_attention_heads": 7}, "no multiple of num_heads 7"),
        ({"num_attention_heads": 0}, "num_heads"),
        ({"max_position_embeddings": 10**12}, "max_position_embeddings"),
        ({"type_vocab_size": 3}, "token_type_embeddings.weight has the shape [2, 48]"),
        ({"hidden_act": "relu"}, "hidden_act 'relu' is not supported; use a model with one of"),
        ({"hidden_act": ["gelu"]}, "hidden_act ['gelu'] is not supported"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"is_decoder": True}, "is_decoder True is not supported"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps"),
        ({"classifier_dropout": "much"}, "classifier_dropout 'much' is no rate"),
        ({"intermediate_size": None}, "lacks intermediate_size"),
    ],
    ids=str,
)
def test_config_that_we_cannot_compute(folder: Path, changes: dict[str, Any], reason: str) -> None:
    change_config(folder, **changes)
    assert reason in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_hidden_groups": 2}, "num_hidden_groups 2 is not supported"),
        ({"inner_group_num": 3}, "inner_group_num 3 is not supported"),
        ({"embedding_size": 0}, "embedding_size of 0"),
        ({"embedding_size": -1}, "embedding_size"),
        ({"embedding_size": 21}, "word_embeddings.weight has the shape [99, 20]"),
        ({"hidden_act": "gelu_fast"}, "hidden_act 'gelu_fast' is not supported"),
        ({"classifier_dropout_prob": 2}, "classifier_dropout 2 is no rate"),
    ],
    ids=str,
)
def test_albert_that_we_cannot_compute(
    sound: dict[str, dict[str, bytes]], tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    folder = lay_out(sound["AlbertForPreTraining"], tmp_path / "model")
    change_config(folder, **changes)
    assert reason in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"embedding_size": 0}, "embedding_size of 0"),
        ({"embedding_size": "wide"}, "embedding_size"),
        ({"embedding_size": 21}, "word_embeddings.weight has the shape [99, 20]"),
        ({"embedding_size": 48}, "knows nothing of: electra.embeddings_project.bias"),
        ({"hidden_act": "gelu_new"}, "hidden_act 'gelu_new' is not supported"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"is_decoder": True}, "is_decoder True is not supported"),
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "code of its own"),
    ],
    ids=str,
)
def test_electra_that_we_cannot_compute(
    sound: dict[str, dict[str, bytes]], tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    folder = lay_out(sound["ElectraForPreTraining"], tmp_path / "model")
    change_config(folder, **changes)
    assert reason in refusal(folder)


@pytest.mark.parametrize(
    "changes",
    [{"summary_type": "mean"}, {"summary_activation": "tanh"}, {"summary_use_proj": False}],
    ids=str,
)
def test_electra_that_chooses_by_another_vector(tmp_path: Path, changes: dict[str, Any]) -> None:
    make_peer("ElectraForMultipleChoice").save_pretrained(tmp_path)
    load_choice_model(tmp_path)
    change_config(tmp_path, **changes)
    assert f"{next(iter(changes))} " in refusal(tmp_path)
    change_config(tmp_path, architectures=["ElectraModel"])  # which has no such layer
    load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        ("Roberta", {"pad_token_id": 513}, "pad_token_id 513 leaves no position of 513"),
        ("Roberta", {"pad_token_id": -1}, "pad_token_id -1 leaves no position"),
        ("Roberta", {"pad_token_id": [0]}, "pad_token_id [0] leaves no position"),
        ("Roberta", {"max_position_embeddings": "many"}, "leaves no position of 'many'"),
        ("Roberta", {"max_position_embeddings": 514}, "where config.json says [514, 48]"),
        ("Roberta", {"hidden_act": "gelu_new"}, "hidden_act 'gelu_new' is not supported"),
        ("Roberta", {"is_decoder": True}, "is_decoder True is not supported"),
        ("Roberta", {"tie_word_embeddings": 3}, "tied"),
        ("DistilBert", {"activation": "relu"}, "activation 'relu' is not supported"),
        ("DistilBert", {"dim": None}, "lacks dim"),
        ("DistilBert", {"dim": 96}, "where config.json says [99, 96]"),
        ("DistilBert", {"seq_classif_dropout": 2}, "classifier_dropout 2 is no rate"),
        ("DistilBert", {"tie_word_embeddings": False}, "lacks vocab_projector.weight"),
    ],
    ids=str,
)
def test_roberta_and_distilbert_that_we_cannot_compute(
    sound: dict[str, dict[str, bytes]],
    tmp_path: Path,
    family: str,
    changes: dict[str, Any],
    reason: str,
) -> None:
    folder = lay_out(sound[f"{family}ForMaskedLM"], tmp_path / "model")
    change_config(folder, **changes)
    assert reason in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"layer_types": None}, "sliding-window attention"),
        ({"layer_types": 7}, "sliding-window attention"),
        ({"layer_types": None, "global_attn_every_n_layers": 3}, "sliding-window attention"),
        ({"norm_bias": True}, "biases in some layers only"),
        ({"hidden_activation": "silu"}, "hidden_activation 'silu'"),
        ({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "scales its rotary"),
        ({"rope_parameters": {"full_attention": {"rope_theta": "x"}}}, "rope_theta"),
        ({"num_attention_heads": 16, "hidden_size": 16}, "even head size"),
    ],
    ids=str,
)
def test_modernbert_that_we_cannot_compute(
    sound: dict[str, dict[str, bytes]], tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    folder = lay_out(sound["ModernBertForMaskedLM"], tmp_path / "model")
    change_config(folder, **changes)
    assert reason in refusal(folder)


def test_modernbert_with_the_older_names_of_its_keys(
    sound: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    folder = lay_out(sound["ModernBertForMaskedLM"], tmp_path / "model")
    older = {"global_attn_every_n_layers": 1, "global_rope_theta": 5_000.0}
    expected = read_model(folder).config
    change_config(folder, layer_types=None, rope_parameters=None, **older)
    assert read_model(folder).config == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id2label": {"0": "a", "2": "b"}}, "does not number the labels from 0"),
        ({"id2label": ["a", "b"]}, "does not number the labels from 0"),
        ({"id2label": {"0": "a", "1": 2}}, "labels that are not text"),
        ({"id2label": {"0": "a"}}, "classifier.weight has the shape [2, 48]"),
        ({"num_labels": 10**12}, "num_labels is 1000000000000"),
        ({"problem_type": "ranking"}, "problem_type 'ranking' is not supported; use a model with"),
        ({"problem_type": ["regression"]}, "problem_type ['regression'] is not supported"),
        ({"problem_type": "regression"}, "is a regression of 2 numbers; use a model of one"),
    ],
    ids=str,
)
def test_labels_that_are_no_classes_to_choose_from(
    sound: dict[str, dict[str, bytes]], tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    folder = lay_out(sound["BertForSequenceClassification"], tmp_path / "model")
    change_config(folder, **changes)
    assert reason in refusal(folder)


def test_a_classifier_may_say_what_its_labels_are(
    sound: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    folder = lay_out(sound["BertForSequenceClassification"], tmp_path / "model")
    classes, many = "single_label_classification", "multi_label_classification"
    content = json.loads((folder / "config.json").read_bytes())
    for said, meant in ((classes, classes), (many, many), (None, classes)):
        (folder / "config.json").write_text(json.dumps(content | {"problem_type": said}))
        source = read_model(folder)
        assert (source.labels, source.problem_type) == (("LABEL_0", "LABEL_1"), meant)


def test_a_tokenizer_of_more_tokens_than_the_model_has(folder: Path) -> None:
    words = [*SPECIAL_TOKENS, *"abcdefghij"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    source = read_model(folder)
    assert load_tokenizer(source).vocab_size == len(words) < source.config.vocab_size
    words += [f"word{index}" for index in range(100)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    line = refusal(folder, lambda folder: load_tokenizer(read_model(folder)))
    assert "the tokenizer has 115 tokens, the model 99; copy the tokenizer" in line


@pytest.mark.parametrize("kept", [0, 4, 8, 9, 100, 5000, -1])
def test_cut_weights(folder: Path, kept: int) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:kept])
    assert "is not a whole safetensors file" in refusal(folder)


def test_weights_with_something_behind_them(folder: Path) -> None:
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"more")
    assert "is not a whole safetensors file" in refusal(folder)


def header(size: int, content: bytes) -> bytes:
    return struct.pack("<Q", size) + content


@pytest.mark.parametrize(
    "content",
    [
        header(2**63, b"{}"),
        header(2**30, b"{}"),
        header(2, b"[]"),
        header(4, b"\xff\xff\xff\xff"),
        header(60, b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4]}}'[:60]),
        header(64, b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4]}} abcd'),
    ],
    ids=["endless", "large", "list", "bytes", "cut", "lying"],
)
def test_headers_that_lie(folder: Path, content: bytes) -> None:
    (folder / WEIGHTS).write_bytes(content)
    assert "is not a whole safetensors file" in refusal(folder)


@given(st.data())
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_flipped_byte_is_read_or_refused(folder: Path, data: st.DataObject) -> None:
    """Whatever one byte of the header or the config becomes, nothing but ModelError is raised."""
    name = data.draw(st.sampled_from(["config.json", WEIGHTS]))
    sound = (folder / name).read_bytes()
    index = data.draw(st.integers(0, min(len(sound), 3000) - 1))
    changed = bytearray(sound)
    changed[index] = data.draw(st.integers(0, 255))
    (folder / name).write_bytes(changed)
    with suppress(ModelError):
        read_model(folder)
    (folder / name).write_bytes(sound)


def test_missing_tensors_are_named(folder: Path) -> None:
    lost = "bert.encoder.layer.1.output.dense.bias"
    change_tensors(folder, lambda tensors: tensors.pop(lost))
    assert f"lacks {lost}; use" in refusal(folder)


def test_half_a_head_is_named(folder: Path) -> None:
    lost = "cls.predictions.transform.LayerNorm.weight"
    change_tensors(folder, lambda tensors: tensors.pop(lost))
    assert f"lacks {lost}; use" in refusal(folder)


def test_a_head_without_what_leads_to_it_is_named(
    sound: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    folder = lay_out(sound["BertForSequenceClassification"], tmp_path / "model")
    change_tensors(folder, lambda tensors: tensors.pop("bert.pooler.dense.weight"))
    change_tensors(folder, lambda tensors: tensors.pop("bert.pooler.dense.bias"))
    line = refusal(folder, load_classifier)
    assert "has no pooler: it is a BertForSequenceClassification; use a whole" in line


def test_wrong_shapes_are_named(folder: Path) -> None:
    name = "bert.encoder.layer.0.intermediate.dense.weight"

    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name] = tensors[name].T.contiguous()

    change_tensors(folder, change)
    assert f"{name} has the shape [48, 70], where config.json says [70, 48]" in refusal(folder)


def test_quantised_tensors_are_refused(folder: Path) -> None:
    name = "bert.embeddings.word_embeddings.weight"

    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name] = tensors[name].to(torch.int8)

    change_tensors(folder, change)
    assert f"{name} is of type I8" in refusal(folder)


def test_an_output_matrix_of_its_own_is_refused(folder: Path) -> None:
    def tie(tensors: dict[str, torch.Tensor]) -> None:
        embedding = tensors["bert.embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.weight"] = embedding.clone()

    change_tensors(folder, tie)
    load_masked_lm(folder)
    change_tensors(folder, lambda tensors: tensors["cls.predictions.decoder.weight"].add_(1))
    assert "an output matrix that is not the word embedding" in refusal(folder)


def test_a_folder_of_another_kind_says_what_it_is(
    sound: dict[str, dict[str, bytes]], folder: Path, tmp_path: Path
) -> None:
    line = refusal(folder, load_classifier)
    assert line.endswith(
        "has no sequence classifier: it is a BertForPreTraining; fine-tune it first"
    )
    classifier = lay_out(sound["BertForSequenceClassification"], tmp_path / "classifier")
    assert "no masked-LM head: it is a BertForSequenceClassification" in refusal(
        classifier, load_masked_lm
    )
    tagger = lay_out(sound["BertForTokenClassification"], tmp_path / "tagger")
    assert "no sequence classifier: it is a BertForTokenClassification" in refusal(
        tagger, load_classifier
    )
    assert load_encoder(tagger).config.hidden_size == 48
    assert load_for_classification(tagger, 2).head.classifier.out_features == 2


def test_published_variants_of_names_are_read(folder: Path) -> None:
    """BERT's own release: LayerNorm.gamma and beta; a bare encoder; buffers beside weights."""
    expected = read_model(folder).state

    def older(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            older = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            tensors[older.replace("LayerNorm.bias", "LayerNorm.beta")] = tensors.pop(name)
        tensors["cls.predictions.decoder.bias"] = tensors.pop("cls.predictions.bias")
        tensors["bert.embeddings.position_ids"] = torch.arange(512)[None]

    def bare(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensor = tensors.pop(name)
            if name.startswith("bert."):
                tensors[name.removeprefix("bert.")] = tensor

    change_tensors(folder, older)
    found = read_model(folder).state
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    change_tensors(folder, bare)
    found = read_model(folder).state
    assert found.keys() == {n for n in expected if n.startswith(("encoder.", "pooler."))}
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(folder: Path, dtype: torch.dtype) -> None:
    expected = read_model(folder).state

    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name in tensors:
            tensors[name] = tensors[name].to(dtype)

    change_tensors(folder, change)
    for name, tensor in read_model(folder).state.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected[name].to(dtype).float())
