"""`bertsmith corpus`, as a real command."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bertsmith.text.corpus import Corpus
from bertsmith.text.tokenizer_training import train_tokenizer

from .commands import bertsmith, refused, shown


def build(out: Path, text: Path, tokenizer: Path) -> subprocess.CompletedProcess[str]:
    return bertsmith("corpus", "build", "--text", text, "--tokenizer", tokenizer, "--out", out)


def prose(documents: int) -> str:
    rng = random.Random(3)
    words = ["red", "blue", "walks", "talks", "house", "tree", "one", "two"]
    texts = (" ".join(rng.choices(words, k=40)) + "." for _ in range(documents))
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    train_tokenizer([prose(20)], 60).save(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def test_a_corpus_is_built_and_reported(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "a.jsonl").write_text(prose(30))
    done = build(tmp_path / "c", tmp_path / "a.jsonl", tokenizer)
    assert done.returncode == 0, done.stderr
    assert "documents  30" in done.stdout
    report = bertsmith("corpus", "report", tmp_path / "c", "--verify")
    assert report.returncode == 0, report.stderr
    for word in ("checksums", "unigram entropy", "nats", "duplicate documents", "on disk"):
        assert word in report.stdout
    again = build(tmp_path / "c", tmp_path / "a.jsonl", tokenizer)
    assert again.stdout == done.stdout


def test_the_text_of_records_by_its_name(tmp_path: Path, tokenizer: Path) -> None:
    """Of all commands that encode text; a corpus of one column is none of another."""
    records = [{"body": text, "text": "one"} for text in prose(30).splitlines()]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    named = ("--text", tmp_path / "a.jsonl", "--text-column")
    out = ("--tokenizer", tokenizer, "--out", tmp_path / "c")
    done = bertsmith("corpus", "build", *named, "body", *out)
    assert done.returncode == 0, done.stderr
    assert "documents  30" in done.stdout
    other = bertsmith("corpus", "build", *named, "text", *out)
    assert other.returncode == 2
    assert "a corpus of other texts" in other.stderr
    wrong = bertsmith("tokenizer", "report", tokenizer, *named, "bdy")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("bertsmith: error: ")
    assert "it has 'body', 'text'" in wrong.stderr
    new = ("--vocab-size", "60", "--out", tmp_path / "t")
    done = bertsmith("tokenizer", "train", *named, "body", *new)
    assert done.returncode == 0, done.stderr


def test_a_summary_of_many_files_is_short(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(30):
        (tmp_path / "in" / f"{number}.txt").write_text(f"Red house {number}.\n")
    done = build(tmp_path / "c", tmp_path / "in", tokenizer)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nread ") == 21
    assert done.stdout.endswith("read       10 more files (10 documents)\n")


@pytest.fixture
def corpus(tmp_path: Path, tokenizer: Path) -> Path:
    (tmp_path / "a.jsonl").write_text(prose(30))
    assert build(tmp_path / "c", tmp_path / "a.jsonl", tokenizer).returncode == 0
    return tmp_path / "c"


def preview(corpus: Path, *more: str | Path) -> list[str]:
    sets = ("--set", "data.max_length=24", "--set", "data.masking=word")
    return ["corpus", "preview", "bert", "--corpus", str(corpus), *sets, *map(str, more)]


def test_what_the_model_will_see_is_shown_in_words_and_on_a_page(corpus: Path) -> None:
    page = corpus.parent / "preview.html"
    done = bertsmith(*preview(corpus, "--samples", "9", "--html", page))
    assert done.returncode == 0, done.stderr
    assert "100.0 % of them whole" in done.stdout
    assert done.stdout.count("[CLS]") == 9
    assert re.search(r"B (follows|does not follow) A \(label [01]\), \d+ tokens\n", done.stdout)
    assert re.search(r"\[MASK for (red|blue|walks|talks|house|tree|one|two|\.)\]", done.stdout)
    assert "\x1b" not in done.stdout
    assert re.search('<ruby class="masked">.MASK.<rp> .</rp><rt>(red|blue)', page.read_text())
    refused(bertsmith(*preview(corpus, "--html", corpus)), "not a file that can be written")
    refused(bertsmith(*preview(corpus, "--at", "2")), "--at")


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_on_a_terminal_the_samples_are_coloured(corpus: Path) -> None:
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    seen = shown(*preview(corpus, "--samples", "1"), stream="stdout", environment=environment)
    assert b"\x1b[30;43mmasked\x1b[0m" in seen


def test_bad_input_is_refused_and_leaves_nothing(tmp_path: Path, tokenizer: Path) -> None:
    text, out = tmp_path / "a.jsonl", tmp_path / "c"
    text.write_text(prose(3) + '{"text": 3}\n')
    refused(build(out, text, tokenizer), 'a.jsonl:4: the "text" of this record is 3, no string')
    text.write_text(prose(3))
    refused(build(out, text, tmp_path / "none"), "no such tokenizer folder")
    whole = (tokenizer / "tokenizer.json").read_text()
    (tokenizer / "tokenizer.json").write_text(whole[: len(whole) // 2])
    refused(build(out, text, tokenizer), "tokenizer.json: not a tokenizer")
    refused(bertsmith("corpus", "report", tmp_path), "no corpus here")
    assert not out.exists()


def test_no_folder_is_written_into_that_holds_something_else(
    tmp_path: Path, tokenizer: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(prose(3))
    refused(build(tokenizer, tmp_path / "a.jsonl", tokenizer), "something else")
    refused(build(tmp_path / "a.jsonl", tmp_path / "a.jsonl", tokenizer), "a.jsonl")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(command, capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    ("documents", "fails"), [(30_000, "while tokens are written"), (40_000, "while hashes grow")]
)
def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, tokenizer: Path, small_disk: Path, documents: int, fails: str
) -> None:
    (tmp_path / "a.jsonl").write_text(prose(documents))
    (small_disk / "other").write_bytes(b"x" * 2**19)
    done = build(small_disk / "c", tmp_path / "a.jsonl", tokenizer)
    refused(done, "No space left on device", "free some space")
    assert [path.name for path in small_disk.iterdir()] == ["other"]
    done = build(tmp_path / "c", tmp_path / "a.jsonl", tokenizer)
    assert done.returncode == 0, done.stderr
    assert Corpus.open(tmp_path / "c").num_documents > 20_000


def test_phrases_are_found_written_and_masked(corpus: Path) -> None:
    out, entities = corpus.parent / "p.tsv", corpus.parent / "e.tsv"
    measures = ("--cohesion", "0", "--freedom", "0", "--burst", "0.1", "--show", "3")
    done = bertsmith("corpus", "phrases", corpus, "--out", out, "--entities", entities, *measures)
    assert done.returncode == 0, done.stderr
    lines = out.read_text("utf-8").splitlines()
    assert f"phrases   {out}: {len(lines):,}, of 10 occurrences or more" in done.stdout
    shown = done.stdout.splitlines()[1:4]
    assert [line.split()[:2] for line in shown] == [line.split()[:2] for line in lines[:3]]
    assert set(entities.read_text("utf-8").splitlines()) < set(lines)
    sets = ("--set", "data.masking=phrase", "--set", f"data.phrases={out}")
    seen = bertsmith(*preview(corpus), *sets)
    assert seen.returncode == 0, seen.stderr
    assert re.search(r"chosen phrases +100.0 % of them whole", seen.stdout)
    assert re.search(r" for _(red|blue|walks|talks|house|tree|one|two)\]", seen.stdout)
    refused(bertsmith(*preview(corpus), *sets[:2]), "data.phrases", "corpus phrases")
    none = corpus.parent / "none.tsv"
    refused(
        bertsmith("corpus", "phrases", corpus, "--out", none, "--min-count", "100000"),
        "100,000 times",
    )
    assert not none.exists()
    refused(bertsmith("corpus", "phrases", corpus, "--out", corpus), "can be written")
