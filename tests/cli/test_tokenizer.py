"""`bertsmith tokenizer`, as a real command."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .commands import SECONDS, bertsmith, refused, shown

PROSE = (
    "The quick brown fox jumps over the lazy dog. It runs away from here.\n"
    "Nobody knows where the fox has gone. The dog sleeps on.\n\n"
)


def train(out: Path, *texts: str | Path, size: int = 60) -> subprocess.CompletedProcess[str]:
    return bertsmith(
        "tokenizer", "train", "--text", *texts, "--vocab-size", str(size), "--out", out
    )


def test_training_takes_several_texts_and_reports(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(PROSE * 5)
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": PROSE}) + "\n")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(PROSE.encode()))
    out = tmp_path / "tokenizer"
    texts = [tmp_path / name for name in ("a.txt", "b.jsonl", "c.txt.gz")]
    done = train(out, *texts)
    assert done.returncode == 0, done.stderr
    assert "vocabulary          60 " in done.stdout
    assert "pieces per word" in done.stdout
    names = {path.name for path in out.iterdir()}
    assert names == {"tokenizer.json", "tokenizer_config.json", "vocab.txt"}
    report = bertsmith("tokenizer", "report", out, "--text", texts[0], "--text", *texts[1:])
    assert report.returncode == 0, report.stderr
    assert "characters covered" in report.stdout


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_on_a_terminal_the_bar_says_what_is_done_after_the_reading(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(PROSE * 5)
    arguments = ["--text", tmp_path / "a.txt", "--vocab-size", "60", "--out", tmp_path / "t"]
    assert b"encoding a sample" in shown("tokenizer", "train", *arguments, stream="stderr")


def test_a_recipe_s_choices_are_taken_and_flags_laid_over_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(PROSE * 5)
    arguments = ("tokenizer", "train", "--text", tmp_path / "a.txt", "--vocab-size", "60")
    done = bertsmith(*arguments, "--recipe", "bert", "--no-lowercase", "--out", tmp_path / "t")
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "t" / "tokenizer_config.json").read_text())
    assert (config["strip_accents"], config["do_lower_case"]) == (True, False)
    refused(bertsmith(*arguments, "--recipe", "brt", "--out", tmp_path / "u"), "mean 'bert'")
    roberta = ("--special-tokens", "roberta")
    refused(bertsmith(*arguments, *roberta, "--out", tmp_path / "u"), "choose kind bpe")
    assert not (tmp_path / "u").exists()


def test_only_a_tokenizer_of_nobody_is_replaced(tmp_path: Path) -> None:
    text, out = tmp_path / "a.txt", tmp_path / "corpus" / "tokenizer"
    text.write_text(PROSE * 5)
    assert train(out, text).returncode == 0
    assert train(out, text, size=50).returncode == 0
    kept = files_of(out)
    (out.parent / "manifest.json").write_text("{}")
    refused(train(out, text), "tokenizer of a corpus", "choose another folder")
    (out.parent / "manifest.json").rename(out / "config.json")
    refused(train(out, text), "tokenizer of a model", "choose another folder")
    (out / "config.json").unlink()
    assert files_of(out) == kept
    refused(train(text, text), "is there already")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    refused(train(tmp_path / "photos", text), "is there already")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_keeps_the_older_tokenizer_and_no_more(
    tmp_path: Path, small_disk: Path
) -> None:
    (tmp_path / "a.txt").write_text(PROSE * 5)
    out = small_disk / "tokenizer"
    assert train(out, tmp_path / "a.txt").returncode == 0
    kept = files_of(out)
    room_for_one_file = 2**13
    rest = shutil.disk_usage(small_disk).free - room_for_one_file
    (small_disk / "other").write_bytes(b"x" * rest)
    refused(train(out, tmp_path / "a.txt", size=50), "No space left on device")
    refused(train(small_disk / "new", tmp_path / "a.txt"), "No space left on device")
    assert {path.name for path in small_disk.iterdir()} == {"tokenizer", "other"}
    assert files_of(out) == kept


def test_accent_stripping_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "de.txt").write_text("Müde Vögel fliegen über schöne Straßen.\n" * 40)
    arguments = ("--vocab-size", "60", "--kind", "characters", "--strip-accents")
    done = bertsmith(
        "tokenizer", "train", "--text", tmp_path / "de.txt", "--out", tmp_path / "t", *arguments
    )
    assert done.returncode == 0, done.stderr
    assert "warning: accent stripping destroys letters" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.txt", b"", ["empty.txt: no text in this file"]),
        ("binary.txt", b"\x7fELF\0\0\0", ["binary.txt:1", "NUL bytes"]),
        ("latin.txt", "ok\nlé\n".encode("latin-1"), ["latin.txt:2: not UTF-8"]),
        ("short.txt", b"Too short.\n", ["not 60", "--vocab-size"]),
        ("broken.jsonl", b'{"text": "a"}\n{"te', ["broken.jsonl:2: not JSON"]),
        ("keys.jsonl", b'{"body": "a"}\n', ['no "text"', "'body'"]),
        ("cut.txt.gz", gzip.compress(PROSE.encode() * 99)[:-9], ["cut.txt.gz", "damaged"]),
    ],
)
def test_bad_text_is_refused(tmp_path: Path, name: str, content: bytes, words: list[str]) -> None:
    (tmp_path / name).write_bytes(content)
    refused(train(tmp_path / "t", tmp_path / name), *words)
    assert not (tmp_path / "t").exists()


def test_a_missing_text_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "wiki.txt").write_text(PROSE)
    refused(train(tmp_path / "t", tmp_path / "wikis.txt"), "did you mean", "wiki.txt")


def test_a_line_of_a_hundred_megabytes_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    with path.open("wb") as file:
        for _ in range(100):
            file.write(b"word " * 200_000)
    program = (
        "import resource, sys; from bertsmith.cli.main import run\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (600 * 2**20,) * 2); run(sys.argv[1:])"
    )
    arguments = ["tokenizer", "train", "--text", str(path), "--vocab-size", "60"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--out", str(tmp_path / "t")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    refused(done, "line.txt:1: a line longer than 16 MiB")
