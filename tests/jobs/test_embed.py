"""Sentence vectors of texts and files: by their definition, and asked again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from bertsmith.analysis.sentences import sentence_vectors, whitening
from bertsmith.cli.main import main, run
from bertsmith.data.pack import collate
from bertsmith.errors import ConfigError, DataError, ModelError
from bertsmith.export.huggingface import load_encoder, load_tokenizer
from bertsmith.jobs import search as searching
from bertsmith.jobs.embed import Embedder, EmbedOptions, embed, embed_file
from bertsmith.jobs.search import search
from bertsmith.nn.packed import PackedLinear, can_pack
from bertsmith.nn.sentence import normalised
from bertsmith.types import Batch, Example, Float32Array
from jobs.tiny import GLAD, PLAIN, SAD, save_tiny_model

WORDS = (*PLAIN, *GLAD, *SAD)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("embed") / "model")


def some_texts(count: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 30, count)
    return [" ".join(generator.choice(WORDS, size=length)) for length in lengths]


def in_fp32(pooling: str | None = None, layers: str = "last") -> EmbedOptions:
    return EmbedOptions(pooling, layers, device="cpu", precision="float32")


def one_by_one(model: Path, texts: list[str], kind: str, layers: list[int]) -> Float32Array:
    """The definition: every text alone."""
    encoder, tokenizer = load_encoder(model), load_tokenizer(model)
    vectors = []
    for text in texts:
        ids = np.array(tokenizer.encode(text).ids)
        with torch.no_grad():
            batch = collate([Example(ids, np.zeros_like(ids))], [0])
            states = list(encoder.hidden_states(batch))
        mixed = np.mean([states[layer].numpy() for layer in layers], axis=0)
        pooled = {"cls": mixed[0], "mean": mixed.mean(axis=0), "max": mixed.max(axis=0)}
        vectors.append(pooled[kind])
    return np.array(vectors, dtype=np.float32)


@pytest.mark.parametrize(
    ("kind", "layers", "numbers"),
    [
        ("mean", "last", [2]),
        ("cls", "2", [2]),
        ("mean", "first-last", [1, 2]),
        ("max", "0, 2", [0, 2]),
        ("mean", "0", [0]),
    ],
)
def test_what_is_pooled(model: Path, kind: str, layers: str, numbers: list[int]) -> None:
    texts = some_texts(12)
    found = embed(model, texts, in_fp32(kind, layers)).vectors
    np.testing.assert_allclose(found, one_by_one(model, texts, kind, numbers), atol=2e-6)


def test_neither_order_nor_company_change_a_vector(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = some_texts(40)
    vectors = embed(model, texts, in_fp32()).vectors
    order = np.random.default_rng(1).permutation(len(texts))
    monkeypatch.setattr("bertsmith.analysis.sentences.BATCH_TOKENS", 50)
    monkeypatch.setattr("bertsmith.analysis.sentences.BLOCK_TEXTS", 7)
    shuffled = embed(model, (texts[i] for i in order), in_fp32()).vectors
    np.testing.assert_allclose(shuffled, vectors[order], atol=2e-6)


def test_a_text_that_comes_again_is_computed_once(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = some_texts(6)
    again = [texts[i] for i in (3, 0, 3, 1, 5, 4, 2, 0, 3)]
    options = replace(in_fp32(), max_length=10)
    vectors, told, read = embed(model, texts, options).vectors, list[int](), list[int]()
    embedder = Embedder.load(model, options)
    forward = embedder.network.forward

    def counted(batch: Batch) -> torch.Tensor:
        read.append(batch.num_sequences)
        return forward(batch)

    monkeypatch.setattr(embedder.network, "forward", counted)
    found = sentence_vectors(embedder.network, embedder.tokenizer, again, 10, told.append)
    np.testing.assert_allclose(found.vectors, vectors[[3, 0, 3, 1, 5, 4, 2, 0, 3]], atol=2e-6)
    assert (sum(read), told[-1]) == (6, 9)
    lengths = [len(load_tokenizer(model).encode(text).ids) for text in again]
    assert found.truncated == sum(length > 10 for length in lengths)


def test_in_bfloat16_the_weights_are_packed_and_the_vectors_nearly_the_same(
    model: Path, tmp_path: Path
) -> None:
    options = EmbedOptions(normalise=True, device="cpu", precision="bfloat16")
    embedder = Embedder.load(model, options)
    packed = any(isinstance(part, PackedLinear) for part in embedder.network.modules())
    assert packed == can_pack()
    texts = some_texts(20)
    exact = embed(model, texts, replace(options, precision="float32")).vectors
    assert (embedder.embed(texts).vectors * exact).sum(axis=1).min() > 0.999
    embedder.save(tmp_path / "saved")  # the weights as they were, not rounded
    assert torch.equal(
        load_encoder(tmp_path / "saved").embeddings.word.weight,
        load_encoder(model).embeddings.word.weight,
    )


def test_whitened_vectors_have_no_mean_and_covariance_one() -> None:
    generator = np.random.default_rng(0)
    vectors = (generator.normal(size=(500, 6)) @ generator.normal(size=(6, 6)) + 3).astype("f4")
    white = whitening(vectors)(vectors)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(6), atol=1e-3)
    np.testing.assert_allclose(whitening(vectors, 2)(vectors), white[:, :2], atol=1e-4)
    flat = np.c_[vectors, vectors[:, 0]]  # one direction in which nothing varies
    assert whitening(flat)(flat).shape == (500, 6)
    with pytest.raises(DataError, match="500 texts, which vary in 6 directions, are too few"):
        whitening(flat, 7)
    with pytest.raises(DataError, match="too few to whiten"):
        whitening(vectors[:6])


def test_rounding_is_not_whitened() -> None:
    """Vectors that vary little beside their length, in one direction by their rounding alone."""
    generator = np.random.default_rng(0)
    spreads = np.array([0, 1e-2, 1e-3, 1e-4])
    vectors = (8 + generator.standard_normal((500, 4)) * spreads).astype(np.float32)
    vectors[::2, 0] += np.float32(1e-6)
    white = whitening(vectors)(vectors).astype(np.float64)
    assert white.shape == (500, 3)
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(3), atol=0.02)


def test_a_file_is_embedded_searched_and_saved(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = list(dict.fromkeys(some_texts(60)))
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    out = tmp_path / "x.npy"
    inputs = ("embed", str(model), str(tmp_path / "texts.jsonl"))
    common = [*inputs, "--out", str(out), "--max-length", "20"]
    done = CliRunner().invoke(main, [*common, "--precision", "float32"])
    assert done.exit_code == 0, done.output
    assert f"{len(texts)} vectors of 32 numbers in {out}" in done.output
    assert f"of {len(texts)} texts were shortened" in done.output
    vectors = np.load(out)
    monkeypatch.setattr(searching, "SEARCH_ROWS", 9)
    (hits,) = search(out, [texts[5]], top=4)
    asked = normalised(vectors) @ normalised(vectors)[5]
    best = np.argsort(-asked, kind="stable")[:4]
    assert [hit.row for hit in hits] == [row + 1 for row in best.tolist()]
    assert hits[0].text == texts[5]
    assert hits[0].cosine == pytest.approx(1.0, abs=1e-5)

    shown = CliRunner().invoke(main, ["search", str(out), texts[7], "a dog", "--top", "2"])
    assert shown.output.splitlines()[1] == f"1.0000       8  {texts[7]}"
    assert len(shown.output.splitlines()) == 6

    white = ["--whiten", "--dimensions", "8", "--normalise", "--save", str(tmp_path / "saved")]
    done = CliRunner().invoke(main, [*common, *white, "--precision", "float32"])
    assert done.exit_code == 0, done.output
    assert np.load(out).shape == (len(texts), 8)
    assert search(out, [texts[5]], top=1)[0][0].row == 6
    again = embed(tmp_path / "saved", texts, in_fp32()).vectors
    np.testing.assert_allclose(again, np.load(out), atol=1e-4)


def test_a_changed_file_is_not_searched(model: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("a good film\na dull story\n")
    embed_file(model, texts, tmp_path / "x.npy", in_fp32())
    assert search(tmp_path / "x.npy", ["a good film"], top=1)[0][0].text == "a good film"
    texts.write_text("a dull story\na good film\n")  # as many as before
    with pytest.raises(DataError, match="has changed since; embed it again"):
        search(tmp_path / "x.npy", ["a good film"], top=1)


def test_another_model_of_the_same_size_is_not_asked(model: Path, tmp_path: Path) -> None:
    """Its cosines to these vectors would mean nothing."""
    texts, other = tmp_path / "texts.txt", tmp_path / "other"
    texts.write_text("a good film\na dull story\n")
    embed_file(model, texts, tmp_path / "x.npy", in_fp32())
    copytree(model, other)
    assert search(tmp_path / "x.npy", ["a good film"], model=other)[0][0].row == 1
    weights = load_file(other / "model.safetensors")
    save_file({name: 2.0 * tensor for name, tensor in weights.items()}, other / "model.safetensors")
    with pytest.raises(DataError, match="other: has other weights than the model that made"):
        search(tmp_path / "x.npy", ["a good film"], model=other)
    with pytest.raises(DataError, match=r"texts\.txt: is no \.npy"):
        search(texts, ["a good film"])


def test_killed_between_vectors_and_how_they_were_made_nothing_is_searched(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors of another pooling, in place of older ones of the same texts."""
    (tmp_path / "t.txt").write_text("\n".join(some_texts(5)))
    embed_file(model, tmp_path / "t.txt", tmp_path / "v.npy", in_fp32())

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bertsmith.jobs.embed.write_text_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            embed_file(model, tmp_path / "t.txt", tmp_path / "v.npy", in_fp32("cls"))
    with pytest.raises(DataError, match=r"v\.json: is missing; embed the texts again"):
        search(tmp_path / "v.npy", ["a film"])


def test_what_cannot_be_saved_is_told_before_the_work(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "texts.txt").write_text("a good film\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    monkeypatch.delattr(Embedder, "embed")
    for layers, folder, expected in (
        ("1,2", "new", "read the last layer alone"),
        ("last", "full", "is no folder with a config.json"),
    ):
        with pytest.raises(ModelError, match=expected):
            embed_file(
                model,
                tmp_path / "texts.txt",
                tmp_path / "x.npy",
                in_fp32(layers=layers),
                save=tmp_path / folder,
            )
    assert not (tmp_path / "x.npy").exists()


def test_a_json_of_something_else_is_not_replaced(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, own = tmp_path / "x.txt", tmp_path / "x.json"
    texts.write_text("a good film\n")
    for content in ('[{"text": "mine"}]', '{"text": "mine"}', '{"model": ', "[" * 10_000):
        own.write_text(content)
        with monkeypatch.context() as patch:
            patch.delattr(Embedder, "load")  # told before the work
            with pytest.raises(ConfigError, match=r"x\.json is of something else, and would be"):
                embed_file(model, texts, tmp_path / "x.npy", in_fp32())
        assert own.read_text() == content
    own.unlink()
    for _ in range(2):  # its own is replaced
        embed_file(model, texts, tmp_path / "x.npy", in_fp32())
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.npy: not a file that can be written"):
        embed_file(model, texts, tmp_path / "folder.npy", in_fp32())


def test_a_hit_is_one_line(model: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('text\n"a good\r\nfilm  of"\na dog\n')
    embed_file(model, tmp_path / "t.csv", tmp_path / "t.npy", in_fp32())
    shown = CliRunner().invoke(main, ["search", str(tmp_path / "t.npy"), "a good film of"])
    assert shown.output.splitlines()[0] == "1.0000       1  a good film  of"
    assert len(shown.output.splitlines()) == 2


def test_vectors_of_a_gpu_are_searched_without_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.txt").write_text("a good film\na dog\n")
    embed_file(model, tmp_path / "t.txt", tmp_path / "t.npy", in_fp32())
    path = tmp_path / "t.json"
    path.write_text(path.read_text().replace('"device": "auto"', '"device": "cuda"'))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert search(tmp_path / "t.npy", ["a dog"], top=1)[0][0].row == 2


def test_mistakes_are_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none.txt").write_text("")
    (tmp_path / "pairs.tsv").write_text("sentence1\tsentence2\na\tb\n")
    (tmp_path / "few.txt").write_text("a film\na dog\n")
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    out = ("--out", tmp_path / "x.npy")
    embed_file(model, tmp_path / "few.txt", tmp_path / "few.npy")
    (tmp_path / "few.txt").write_text("a film\n")
    for arguments, expected in (
        (("embed", model, tmp_path / "none.txt", *out), "none.txt: no texts"),
        (("embed", model, tmp_path / "pairs.tsv", *out), "where a vector has none"),
        (("embed", model, tmp_path / "few.txt", *out, "--layers", "3"), "numbers from 0 to 2"),
        (("embed", model, tmp_path / "few.txt", *out, "--whiten"), "1 texts, which vary in 0"),
        (("embed", model, tmp_path / "few.txt", "--out", tmp_path / "x"), "is no .npy"),
        (("embed", model, tmp_path / "few.txt", *out, "--max-length", "999"), "model reads 512"),
        (("embed", tmp_path, tmp_path / "few.txt", *out), "has no config.json"),
        (("search", tmp_path / "no.npy", "a"), "no.npy: no such file"),
        (("search", tmp_path / "bad.npy", "a"), "bad.json: is missing"),
        (("search", tmp_path / "few.npy", "a"), "has 1 texts, where"),
    ):
        with pytest.raises(SystemExit) as exit:
            run([str(argument) for argument in arguments])
        err = capsys.readouterr().err
        assert exit.value.code == 2
        assert err.splitlines()[-1].startswith("bertsmith: error: ")
        assert expected in err
    assert not (tmp_path / "x.npy").exists()
    with pytest.raises(ConfigError, match="no pooling 'sum'; choose from cls, mean, max"):
        embed(model, ["a"], in_fp32("sum"))
