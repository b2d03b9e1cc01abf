"""The corpus on disk: what is in it, whoever built it, and after any interruption."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertsmith.errors import CorpusError, DataError
from bertsmith.text import corpus_building
from bertsmith.text.clean import clean_document
from bertsmith.text.corpus import Corpus
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.duplicates import HashSet, hash_texts
from bertsmith.text.report import corpus_report
from bertsmith.text.sources import Document
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer
from wordpieces import wordpiece


def document(seed: int, sentences: int = 6) -> str:
    rng = random.Random(seed)
    words = ["red", "blue", "walks", "talking", "house", "größe", "one", "two", "unseenable"]
    return " ".join(
        " ".join(rng.choice(words) for _ in range(rng.randint(3, 9))).capitalize() + "."
        for _ in range(sentences)
    )


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return wordpiece((document(seed) for seed in range(50)), 60)


def write_jsonl(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.*"))}


def test_a_corpus_holds_the_tokens_of_its_sentences(tmp_path: Path, tokenizer: Tokenizer) -> None:
    texts = [document(seed) for seed in range(40)]
    corpus = build_corpus([write_jsonl(tmp_path / "a.jsonl", texts)], tokenizer, tmp_path / "c")
    sentences = [clean_document(text)[0] for text in texts]
    encoded = [tokenizer.encode(s, add_special_tokens=False) for doc in sentences for s in doc]
    lengths = [len(one.ids) for one in encoded]
    assert corpus.read(0, corpus.num_tokens).tolist() == [i for one in encoded for i in one.ids]
    assert corpus.tokens.dtype == np.uint16
    assert corpus.sentence_offsets.tolist() == [0, *np.cumsum(lengths).tolist()]
    ends = np.cumsum([len(doc) for doc in sentences])
    assert corpus.document_offsets.tolist() == [0, *corpus.sentence_offsets[ends].tolist()]
    assert corpus.num_documents == 40
    table = tokenizer.starts_word()
    assert table is not None
    for begin, end in ((0, corpus.num_tokens), (3, 4), (13, 77), (8, 16), (5, 5)):
        assert corpus.word_starts(begin, end).tolist() == table[corpus.read(begin, end)].tolist()
    counts = np.bincount(corpus.read(0, corpus.num_tokens), minlength=tokenizer.vocab_size)
    assert corpus.unigram_counts().tolist() == counts.tolist()
    corpus.verify()
    corpus.check_tokenizer(tokenizer)
    assert corpus.tokenizer().fingerprint == tokenizer.fingerprint
    assert corpus.manifest.inputs[0]["documents"] == 40


def test_no_one_sees_how_it_was_built(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_building, "SHARD_CHARS", 1000)
    monkeypatch.setattr(corpus_building, "CHUNK_CHARS", 300)
    texts = [document(seed % 90) for seed in range(100)]
    path = write_jsonl(tmp_path / "a.jsonl", texts)
    one = build_corpus([path], tokenizer, tmp_path / "one", workers=1)
    build_corpus([path], tokenizer, tmp_path / "two", workers=2)
    with ThreadPoolExecutor(3) as pool:
        build_corpus([path], tokenizer, tmp_path / "threads", executor=pool)
    documents = (Document(text) for text in texts)
    given = build_corpus(documents, tokenizer, tmp_path / "given", workers=1)
    first = files_of(tmp_path / "one")
    assert files_of(tmp_path / "two") == files_of(tmp_path / "threads") == first
    assert given.fingerprint == one.fingerprint
    assert one.manifest.duplicate_documents == 10
    assert one.num_documents == 90
    assert len(one.shards) > 5


@pytest.mark.parametrize("stop_after", [1, 2, 5])
def test_an_interrupted_build_goes_on(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    monkeypatch.setattr(corpus_building, "SHARD_CHARS", 1000)
    monkeypatch.setattr(corpus_building, "CHUNK_CHARS", 300)
    texts = [document(seed % 35) for seed in range(40)]
    path = write_jsonl(tmp_path / "a.jsonl", texts)
    whole = build_corpus([path], tokenizer, tmp_path / "whole", workers=1)
    assert len(whole.shards) > 5
    out = tmp_path / "broken"
    shards = 0
    write = corpus_building.ShardWriter.write

    def failing(self: object, pending: object) -> None:
        nonlocal shards
        if shards == stop_after:
            raise KeyboardInterrupt
        shards += 1
        write(self, pending)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(corpus_building.ShardWriter, "write", failing)
        with pytest.raises(KeyboardInterrupt):
            build_corpus([path], tokenizer, out, workers=1)
    with pytest.raises(CorpusError, match="not finished"):
        Corpus.open(out)
    other = write_jsonl(tmp_path / "b.jsonl", texts[::-1])
    with pytest.raises(CorpusError, match="begun with other texts"):
        build_corpus([other], tokenizer, out, workers=1)
    with pytest.raises(CorpusError, match="begun with another tokenizer"):
        build_corpus([path], wordpiece(texts, 50), out, workers=1)
    with (out / "tokens.bin").open("ab") as file:
        file.write(b"half a shard")
    build_corpus([path], tokenizer, out, workers=1)
    assert files_of(out) == files_of(tmp_path / "whole")


def test_a_finished_corpus_is_kept_and_no_other_takes_its_place(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    texts = [document(seed) for seed in range(9)]
    path = write_jsonl(tmp_path / "a.jsonl", texts)
    build_corpus([path], tokenizer, tmp_path / "c")
    before = (tmp_path / "c" / "tokens.bin").stat().st_mtime_ns
    build_corpus([path], tokenizer, tmp_path / "c")
    assert (tmp_path / "c" / "tokens.bin").stat().st_mtime_ns == before
    write_jsonl(path, [*texts, document(99)])
    with pytest.raises(CorpusError, match="of other texts"):
        build_corpus([path], tokenizer, tmp_path / "c")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.md").write_text("mine")
    with pytest.raises(CorpusError, match="something else"):
        build_corpus([path], tokenizer, tmp_path / "full")
    assert [entry.name for entry in (tmp_path / "full").iterdir()] == ["note.md"]


def test_a_corpus_among_its_texts_is_none_of_them(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write_jsonl(tmp_path / "a.jsonl", [document(seed) for seed in range(9)])
    first = build_corpus([tmp_path], tokenizer, tmp_path / "c")
    assert build_corpus([tmp_path], tokenizer, tmp_path / "c").fingerprint == first.fingerprint


KILLED = """
import os, signal, sys
from bertsmith.text import corpus_building, shards
from bertsmith.text.tokenizer import Tokenizer

text, tokenizer, out, *ends = sys.argv[1:]
note = shards.ShardWriter._note_progress

def noted(self, written):
    if ends == [str(len(written)), "before"]:
        os.kill(os.getpid(), signal.SIGKILL)
    note(self, written)
    if ends == [str(len(written)), "after"]:
        os.kill(os.getpid(), signal.SIGKILL)

shards.ShardWriter._note_progress = noted
corpus_building.SHARD_CHARS, corpus_building.CHUNK_CHARS = 2**18, 2**16
corpus_building.build_corpus([text], Tokenizer.load(tokenizer), out, workers=2)
"""
"""A build that kills itself, its workers being at the next chunks, however slow the machine."""


def test_a_killed_build_goes_on(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Killed with a shard written and not noted, then with one noted, then not."""
    texts = [document(seed, sentences=40) for seed in range(800)]
    path = write_jsonl(tmp_path / "a.jsonl", texts)
    tokenizer.save(tmp_path / "tokenizer")

    def build(out: str, *ends: str) -> int:
        arguments = [str(path), str(tmp_path / "tokenizer"), str(tmp_path / out), *ends]
        # The output's end is read when the workers, who have it too, have ended.
        command = [sys.executable, "-c", KILLED, *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE).returncode

    assert build("killed", "2", "before") == -signal.SIGKILL
    assert build("killed", "3", "after") == -signal.SIGKILL
    assert len(json.loads((tmp_path / "killed" / "progress.json").read_text())["shards"]) == 3
    assert build("killed") == build("whole") == 0
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    Corpus.open(tmp_path / "killed").verify()


def test_damage_is_seen(tmp_path: Path, tokenizer: Tokenizer) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [document(seed) for seed in range(9)])
    folder = tmp_path / "c"
    build_corpus([path], tokenizer, folder)
    tokens = (folder / "tokens.bin").read_bytes()
    (folder / "tokens.bin").write_bytes(tokens[:10] + b"\x09" + tokens[11:])
    with pytest.raises(CorpusError, match="shard 0 is damaged"):
        Corpus.open(folder).verify()
    (folder / "tokens.bin").write_bytes(tokens)
    Corpus.open(folder).verify()
    for name in ("sentence_offsets.bin", "document_offsets.bin", "unigram_counts.npy"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-8] + b"\x07" + content[-7:])
        with pytest.raises(CorpusError, match=name):
            Corpus.open(folder).verify()
        (folder / name).write_bytes(content)
    (folder / "tokens.bin").write_bytes(tokens[:-2])
    with pytest.raises(CorpusError, match=r"tokens\.bin: missing or cut"):
        Corpus.open(folder)
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text('{"format": 2}')
    with pytest.raises(CorpusError, match="format 2, where this program reads 1"):
        Corpus.open(folder)
    (folder / "manifest.json").write_text(manifest[: len(manifest) // 2])
    with pytest.raises(CorpusError, match=r"manifest\.json: damaged"):
        Corpus.open(folder)
    with pytest.raises(CorpusError, match="no corpus here"):
        Corpus.open(tmp_path)


def test_another_tokenizer_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [document(1)])
    corpus = build_corpus([path], tokenizer, tmp_path / "c")
    with pytest.raises(CorpusError, match="another tokenizer"):
        corpus.check_tokenizer(wordpiece([document(s) for s in range(50)], 50))
    wordpiece([document(s) for s in range(50)], 50).save(tmp_path / "c" / "tokenizer")
    with pytest.raises(CorpusError, match="another tokenizer"):
        corpus.tokenizer()


def test_a_build_killed_at_its_first_write_can_be_done_again(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / ".progress.json.4711.tmp").write_text("{")
    build_corpus([Document(document(1))], tokenizer, tmp_path / "c", workers=1)
    (tmp_path / "c" / ".manifest.json.4711.tmp").write_text("{")
    build_corpus([Document(document(1))], tokenizer, tmp_path / "c", workers=1)
    assert not list((tmp_path / "c").glob(".*"))


def test_stopping_when_all_is_written_leaves_the_corpus(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(folder: Path) -> None:
        (folder / "progress.json").unlink()
        raise KeyboardInterrupt

    path = write_jsonl(tmp_path / "a.jsonl", [document(1)])
    with monkeypatch.context() as patch:
        patch.setattr(corpus_building, "_remove_scaffolding", stopped)
        with pytest.raises(KeyboardInterrupt):
            build_corpus([path], tokenizer, tmp_path / "c")
    build_corpus([path], tokenizer, tmp_path / "c").verify()
    assert not list((tmp_path / "c").glob("document_hashes.*"))


def test_two_builds_in_one_folder_would_destroy_it(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """The same command again, while the first still runs."""

    def documents() -> Iterator[Document]:
        yield Document(document(1))
        with pytest.raises(CorpusError, match="another process is writing here; wait for it"):
            build_corpus([Document(document(1))], tokenizer, tmp_path / "c")
        yield Document(document(2))

    assert build_corpus(documents(), tokenizer, tmp_path / "c").num_documents == 2


def test_going_on_tells_how_far_it_has_read(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_building, "SHARD_CHARS", 1000)
    monkeypatch.setattr(corpus_building, "CHUNK_CHARS", 300)
    texts = [Document(document(seed)) for seed in range(40)]

    def stop(done: int, total: int) -> None:
        if done > 5000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_corpus(texts, tokenizer, tmp_path / "c", workers=1, progress=stop)
    told: list[int] = []
    build_corpus(
        texts, tokenizer, tmp_path / "c", workers=1, progress=lambda at, _: told.append(at)
    )
    assert told[0] < 2000
    assert told == sorted(told)
    assert told[-1] == sum(len(text.text) for text in texts)


def test_text_without_words_leaves_nothing_behind(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="no text"):
        build_corpus([Document("\u200b"), Document("---")], tokenizer, tmp_path / "c")
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "good"}\n{"text": \n')
    with pytest.raises(DataError, match=r"bad\.jsonl:2"):
        build_corpus([path], tokenizer, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_removed_lines_and_documents_are_counted(tmp_path: Path, tokenizer: Tokenizer) -> None:
    texts = ["red house.\n" * 20 + "blue.", "two\x01 one.", "two\x01 one.", "\u200b"]
    corpus = build_corpus(map(Document, texts), tokenizer, tmp_path / "c", workers=1)
    report = corpus_report(corpus)
    assert (report.documents, report.duplicate_documents) == (2, 1)
    assert corpus.manifest.empty_documents == 1
    assert (report.repeated_lines, report.control_characters) == (18, 1)
    assert report.sentence_tokens[1.0] >= 3
    assert report.unigram_entropy_bits > report.unigram_entropy > 0
    assert any("blue" in sample for sample in report.samples)


def test_a_large_vocabulary_takes_four_bytes(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(65_600)]
    large = train_tokenizer([" ".join(words)], 65_600, "words", min_frequency=1)
    corpus = build_corpus([Document(" ".join(words[:100]))], large, tmp_path / "c")
    assert corpus.tokens.dtype == np.uint32
    assert large.decode(corpus.read(0, 3)) == "w0 w1 w2"


def test_the_longest_sentence_is_found_wherever_it_is(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertsmith.text.report._SAMPLED_LENGTHS", 10)
    monkeypatch.setattr("bertsmith.text.report._BLOCK", 7)
    texts = ["red house."] * 60
    texts[37] = "red house " * 20 + "."
    documents = (Document(f"{text} {number}") for number, text in enumerate(texts))
    corpus = build_corpus(documents, tokenizer, tmp_path / "c", workers=1)
    lengths = np.diff(corpus.sentence_offsets)
    assert corpus_report(corpus).sentence_tokens[1.0] == lengths.max() > 20


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 400), max_size=90), max_size=6))
def test_the_hash_set_is_a_set(tmp_path_factory: pytest.TempPathFactory, rounds: list) -> None:
    hashes = HashSet(tmp_path_factory.mktemp("set") / "table", capacity=8)
    seen: Counter[int] = Counter()
    for numbers in rounds:
        expected = []
        for number in numbers:
            expected.append(seen[number] == 0)
            seen[number] += 1
        assert hashes.add(hash_texts([str(number) for number in numbers])).tolist() == expected
    hashes.close()


@pytest.mark.skipif(os.name != "posix", reason="needs a Unix shell")
def test_a_script_needs_no_main_guard(tmp_path: Path, tokenizer: Tokenizer) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [document(seed) for seed in range(9)])
    tokenizer.save(tmp_path / "tokenizer")
    script = tmp_path / "script.py"
    script.write_text(
        "from bertsmith.text.corpus_building import build_corpus\n"
        "from bertsmith.text.tokenizer import Tokenizer\n"
        f"loaded = Tokenizer.load({str(tmp_path / 'tokenizer')!r})\n"
        f"corpus = build_corpus([{str(path)!r}], loaded, {str(tmp_path / 'c')!r}, workers=2)\n"
        "print(corpus.num_documents)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("9\n", "")
