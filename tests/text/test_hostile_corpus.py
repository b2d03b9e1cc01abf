"""Corpus folders that are hostile: refused in one line, before anything is allocated."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertsmith.errors import CorpusError
from bertsmith.text.corpus import Corpus
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.sources import Document
from bertsmith.text.tokenizer_training import train_tokenizer
from limits import bomb, little_memory

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = [f"red house number {number}. blue house." for number in range(30)]
    tokenizer = train_tokenizer(texts, 80, "characters")
    build_corpus(map(Document, texts), tokenizer, tmp_path / "c", workers=1)
    return tmp_path / "c"


def refusal(folder: Path) -> str:
    """The one line that refuses the folder, which has little memory to do so."""
    with little_memory(), pytest.raises(CorpusError) as caught:
        Corpus.open(folder).unigram_counts()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 500
    assert str(folder) in line
    return line


def change(folder: Path, edit: Change) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    edit(content)
    (folder / "manifest.json").write_text(json.dumps(content))


def shard(**values: Any) -> Change:
    return lambda content: content["shards"][0].update(values)


def top(**values: Any) -> Change:
    return lambda content: content.update(values)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (shard(tokens=10**15), "do not agree"),
        (shard(tokens=-5), "shards.0.tokens"),
        (shard(tokens="many"), "shards.0.tokens"),
        (shard(sentences=2**62), "do not agree"),
        (shard(documents=1e300), "shards.0.documents"),
        (shard(sha256=7), "shards.0.sha256"),
        (top(shards={}), "shards"),
        (top(shards=[7]), "shards.0"),
        (top(shards=[]), "do not agree"),
        (top(dtype="object"), "dtype"),
        (top(dtype="uint32"), "do not agree"),
        (top(vocab_size=10**12), "vocab_size"),
        (top(vocab_size=2**24), "do not agree"),
        (top(vocab_size=True), "do not agree"),
        (top(sizes={"../../etc/passwd": 10}), "do not agree"),
        (top(sizes=[]), "sizes"),
        (top(tokens=1), "do not agree"),
        (top(fingerprint=""), "do not agree"),
        (top(extra=1), "unknown key 'extra'"),
        (top(format="1"), "format 1, where this program reads 1"),
        (lambda content: content.pop("inputs"), "inputs"),
        (lambda content: content["shards"].append(content["shards"][0]), "do not agree"),
    ],
)
def test_absurd_manifests(folder: Path, edit: Change, reason: str) -> None:
    Corpus.open(folder)
    change(folder, edit)
    assert reason in refusal(folder)


@pytest.mark.parametrize(
    "content", [b"", b"[" * 100_000, b"{}", b"[]", b"7", b"\xff", b'{"format": null}']
)
def test_what_is_no_manifest(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    assert "manifest.json: " in refusal(folder)


def test_pickles_are_not_read(folder: Path, tmp_path: Path) -> None:
    pickled = bomb(tmp_path / "mark")
    counts = folder / "unigram_counts.npy"
    whole = counts.read_bytes()
    counts.write_bytes(pickled)
    assert "missing or cut" in refusal(folder)
    counts.write_bytes(pickled.ljust(len(whole), b"\0"))
    assert "damaged" in refusal(folder)
    counts.write_bytes(whole)
    Corpus.open(folder).unigram_counts()
    (folder / "manifest.json").write_bytes(pickled)
    assert "damaged" in refusal(folder)
    assert not (tmp_path / "mark").exists()


def test_files_that_are_endless_or_elsewhere(folder: Path, tmp_path: Path) -> None:
    tokens = folder / "tokens.bin"
    kept = tokens.rename(tmp_path / "elsewhere")
    tokens.symlink_to(kept)
    assert "leads out of its folder" in refusal(folder)
    tokens.unlink()
    os.mkfifo(tokens)
    assert "missing or cut" in refusal(folder)
    tokens.unlink()
    tokens.touch()
    os.truncate(tokens, 10 << 40)
    assert "missing or cut" in refusal(folder)
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").symlink_to("/dev/zero")
    assert "no corpus here" in refusal(folder)


def test_a_manifest_of_terabytes(folder: Path) -> None:
    os.truncate(folder / "manifest.json", 10 << 40)
    assert "too large" in refusal(folder)


def test_an_unfinished_folder_cannot_have_others_files_written(tmp_path: Path) -> None:
    """A link of its own in the place of an array would be cut to the size of the array."""
    precious, folder = tmp_path / "precious", tmp_path / "c"
    precious.write_text("mine")
    folder.mkdir()
    texts = ["red house. blue house."] * 30
    tokenizer = train_tokenizer(texts, 80, "characters")
    plan = {"tokenizer": tokenizer.fingerprint, "layout": "auto"}
    (folder / "progress.json").write_text(json.dumps({"plan": plan, "shards": []}))
    (folder / "tokens.bin").symlink_to(precious)
    with pytest.raises(CorpusError, match="leads out of its folder"):
        build_corpus(map(Document, texts), tokenizer, folder, workers=1)
    assert precious.read_text() == "mine"
    folder.mkdir(exist_ok=True)
    for shards in ([{"tokens": 10**18}], 7, [[]]):
        (folder / "progress.json").write_text(json.dumps({"plan": plan, "shards": shards}))
        with pytest.raises(CorpusError, match="damaged"):
            build_corpus(map(Document, texts), tokenizer, folder, workers=1)
