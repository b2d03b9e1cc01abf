"""Writing a model folder: whole or not at all."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors import safe_open

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.huggingface import (
    architecture_of,
    load_classifier,
    load_masked_lm,
    load_tokenizer,
    read_model,
    save_model,
)
from bertsmith.nn.models import MaskedLM, SequenceClassifier
from bertsmith.text.tokenizer import Tokenizer
from nn.batches import ALBERT, CONFIGS, MODERN, POST, PRE, flat, random_examples, randomise

FILES = {
    "README.md",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_holds_what_transformers_expects(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = MaskedLM(POST, next_sentence=True)
    extra = {"steps": 12, "corpus": "tiny"}
    save_model(tmp_path / "a" / "model", model, tokenizer, card="# mine\n", extra_config=extra)
    folder = tmp_path / "a" / "model"
    assert names(folder) == FILES
    assert names(folder.parent) == {"model"}
    assert (folder / "README.md").read_text("utf-8") == "# mine\n"
    assert read_model(folder).extra == extra
    assert load_tokenizer(folder).fingerprint == tokenizer.fingerprint
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert len(modes) == 1
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
        stored = set(file.keys())
        kinds = {file.get_slice(name).get_dtype() for name in stored}
        count = sum(file.get_tensor(name).numel() for name in stored)
    assert kinds == {"F32"}
    assert count == sum(p.numel() for p in model.parameters())  # the tied matrix once


def test_a_model_in_bfloat16_is_stored_in_float32(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = MaskedLM(MODERN, next_sentence=False).to(torch.bfloat16)
    save_model(tmp_path, model, tokenizer)
    again = load_masked_lm(tmp_path)
    assert again.embedding.dtype == torch.float32
    assert torch.equal(again.embedding, model.embedding.float())


@pytest.mark.parametrize("next_sentence", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        PRE,
        POST.model_copy(update={"type_vocab_size": 0}),
        POST.model_copy(update={"embedding_size": 10}),
        POST.model_copy(update={"share": "all"}),
        PRE.model_copy(update={"embedding_size": 10}),
        MODERN.model_copy(update={"embedding_size": 10}),
        POST.model_copy(update={"pooler": "gelu", "embedding_size": 24}),
        POST.model_copy(update={"pooler": "gelu", "feed_forward": "gelu_tanh"}),
        CONFIGS["one-attention"],
        CONFIGS["one-feed-forward"],
        POST.model_copy(update={"scale_logits": True}),
        MODERN.model_copy(update={"scale_logits": True}),
    ],
)
def test_an_ablation_is_stored_in_our_own_format(
    config: ModelConfig, next_sentence: bool, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = MaskedLM(config, next_sentence).eval()
    randomise(model)
    save_model(tmp_path, model, tokenizer)
    source = read_model(tmp_path)
    assert (source.family, source.architecture) == ("bertsmith", "MaskedLM")
    assert source.config == config
    batch = flat(random_examples([5, 9], config.type_vocab_size))
    again, places = load_masked_lm(source), torch.tensor([1, 4, 7])
    hidden = model(batch)
    assert torch.equal(again(batch), hidden)
    assert torch.equal(again.scores(hidden, places), model.scores(hidden, places))
    assert "bertsmith's own format" in (tmp_path / "README.md").read_text("utf-8")
    with pytest.raises(ValueError, match="bertsmith"):
        transformers.AutoModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("config", "part"),
    [(MODERN, "next_sentence"), (POST, "sentence_order"), (ALBERT, "next_sentence")],
)
def test_a_pair_head_that_the_family_does_not_have_is_kept(
    config: ModelConfig, part: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = MaskedLM(config, part == "next_sentence", part == "sentence_order")
    assert architecture_of(model) == ("bertsmith", "MaskedLM")
    save_model(tmp_path, model, tokenizer)
    again = load_masked_lm(tmp_path)
    assert (again.next_sentence_head is None) == (part == "sentence_order")
    assert (again.sentence_order_head is None) == (part == "next_sentence")


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_labels_are_kept(config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path) -> None:
    labels = ("torch", "numpy", "ünïcode | pipe", "")
    model = SequenceClassifier(config, 4)
    save_model(tmp_path, model, tokenizer, labels=labels)
    source = read_model(tmp_path)
    assert source.labels == labels
    assert load_classifier(source).head.classifier.out_features == 4


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "a")])
def test_labels_that_do_not_fit_are_refused(
    labels: tuple[str, ...], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="2 different labels for a model of 3 classes"):
        save_model(tmp_path / "out", SequenceClassifier(POST, 3), tokenizer, labels=labels)
    assert not names(tmp_path)


def test_a_tokenizer_that_does_not_fit_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = MaskedLM(POST.model_copy(update={"vocab_size": 20}), next_sentence=False)
    with pytest.raises(ModelError, match="the tokenizer has 50 tokens, the model 20"):
        save_model(tmp_path / "out", model, tokenizer)
    assert not names(tmp_path)


def test_an_older_model_is_replaced_whole(tokenizer: Tokenizer, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model(folder, SequenceClassifier(POST, 3), tokenizer)
    (folder / "left-over.txt").write_text("old")
    old = read_model(folder)
    save_model(folder, MaskedLM(MODERN, next_sentence=False), tokenizer)
    assert names(folder) == FILES
    assert names(tmp_path) == {"model"}
    assert read_model(folder).family == "modernbert"
    assert all(torch.isfinite(tensor).all() for tensor in old.state.values())


def test_an_empty_folder_is_taken_and_a_full_one_is_not(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = MaskedLM(POST, next_sentence=False)
    (tmp_path / "empty").mkdir()
    save_model(tmp_path / "empty", model, tokenizer)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    (tmp_path / "file").write_bytes(b"text")
    for name in ("photos", "file"):
        with pytest.raises(ModelError, match="is there already, and is no folder with a config"):
            save_model(tmp_path / name, model, tokenizer)
    assert (tmp_path / "photos" / "cat.jpg").read_bytes() == b"cat"
    assert names(tmp_path) == {"empty", "photos", "file"}


def test_a_link_to_a_folder_stays_a_link(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    save_model(tmp_path / "link", MaskedLM(POST, next_sentence=False), tokenizer)
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == FILES


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from bertsmith.export.huggingface import save_model
from bertsmith.nn.models import MaskedLM
from bertsmith.config import ModelConfig
from bertsmith.text.tokenizer import Tokenizer

model = MaskedLM(ModelConfig(vocab_size=5000), next_sentence=False)
tokenizer = Tokenizer.load(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    save_model(Path(sys.argv[1]), model, tokenizer)
except OSError as error:
    print(error.errno)
"""


def test_a_disk_that_refuses_is_an_os_error(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A file-size limit stands for a full disk: the write fails half-way."""
    folder = tmp_path / "model"
    save_model(folder, MaskedLM(POST, next_sentence=False), tokenizer)
    before = (folder / "model.safetensors").read_bytes()
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder)], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() in {str(errno.EFBIG), str(errno.ENOSPC)}, run.stderr
    assert (folder / "model.safetensors").read_bytes() == before
    assert names(tmp_path) == {"model"}


LIGHT = """
import sys
from bertsmith.export.huggingface import load_masked_lm

load_masked_lm(sys.argv[1])
print("torch._dynamo" in sys.modules, "transformers" in sys.modules)
"""


def test_loading_imports_no_compiler(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Random numbers on the meta device would: seconds, for every sentence filled in."""
    save_model(tmp_path, MaskedLM(POST, next_sentence=True), tokenizer)
    run = subprocess.run(
        [sys.executable, "-c", LIGHT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["False", "False"], run.stderr


def test_config_is_plain_json_with_real_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_model(tmp_path, MaskedLM(MODERN, next_sentence=False), tokenizer)
    content = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert content["architectures"] == ["ModernBertForMaskedLM"]
    ids = [content[f"{role}_token_id"] for role in ("pad", "cls", "sep", "bos", "eos")]
    specials = (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id)
    assert ids == [*specials, tokenizer.cls_id, tokenizer.sep_id]
    assert content["layer_types"] == ["full_attention"] * MODERN.num_layers


def test_a_card_is_named_after_the_folder_wherever_one_stands(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    monkeypatch.chdir(folder)
    save_model(".", MaskedLM(POST, next_sentence=True), tokenizer)
    card = (folder / "README.md").read_text("utf-8")
    assert "# model\n" in card
    assert "where `model` is this folder" in card


def test_the_card_of_what_reads_from_left_to_right_fills_no_gap(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    causal = POST.model_copy(update={"causal": True})
    save_model(tmp_path / "model", MaskedLM(causal, False), tokenizer)
    assert "bertsmith fill" not in (tmp_path / "model" / "README.md").read_text("utf-8")
