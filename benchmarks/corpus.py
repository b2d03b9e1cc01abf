"""Corpus building against `tokenizers`' own encode_batch over the same text.

    python -m benchmarks.corpus [--quick]

Ours reads, cleans, splits into sentences, drops copies, encodes with word boundaries and
writes to disk; theirs encodes the same documents, in memory and clean already. That both count
the same tokens is asserted. Rounds alternate; the figures are medians. Peak memory is that of
this build's whole process tree.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.mistakes import data_at_hand, told_in_a_line
from bertsmith.text.clean import clean_document
from bertsmith.text.corpus import Corpus
from bertsmith.text.sources import Document, python_docs, read_documents
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_training import train_tokenizer

QUICK_BYTES, FULL_BYTES = 10_000_000, 400_000_000
COMPARED_BYTES = 20_000_000
ROUNDS = 3
MEMORY_BAR = 600e6
THROUGHPUT_BAR = 0.8


def documents() -> Iterator[Document]:
    """Wikipedia where it is at hand, else what Python's libraries say of themselves."""
    folder = data_at_hand()
    files = sorted(folder.glob("corpora/wikipedia_en_*.jsonl")) if folder else []
    yield from read_documents(files) if files else python_docs()


def write_text(path: Path, size: int) -> int:
    """Write about `size` bytes of documents; in each further round of them words are new."""
    written = copy = 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            for document in documents():
                text = with_new_words(document.text, copy) if copy else document.text
                written += file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                if written >= size:
                    break
            copy += 1
    return path.stat().st_size


def with_new_words(text: str, copy: int) -> str:
    """`text` with every fourth word of five letters and more, by its checksum, turned around.

    "london" becomes "ondonl", or another by `copy`: as more text would, each copy brings words
    that are new, the rare ones among them, and repeats the rest.
    """

    def turn(match: re.Match[str]) -> str:
        word = match[0]
        if (zlib.crc32(word.encode()) + copy) % 4:
            return word
        cut = 1 + copy % (len(word) - 1)
        return word[cut:] + word[:cut]

    return re.sub(r"[a-z]{5,}", turn, text)


def make_tokenizer(folder: Path) -> Tokenizer:
    """BERT's own vocabulary where it is at hand, else one trained here."""
    data = data_at_hand()
    source = None if data is None else data / "vocab" / "bert-base-uncased_vocab.txt"
    if source is not None and source.is_file():
        folder.mkdir()
        (folder / "vocab.txt").write_bytes(source.read_bytes())
        return Tokenizer.load(folder)
    texts = [document.text for document in documents()]
    trained = train_tokenizer(texts, 8192)
    trained.save(folder)
    return trained


BUILD = """
import sys, time
from bertsmith.text.corpus_building import build_corpus
from bertsmith.text.tokenizer import Tokenizer
text, tokenizer, out, workers = sys.argv[1:]
loaded = Tokenizer.load(tokenizer)
began = time.perf_counter()
build_corpus([text], loaded, out, workers=int(workers))
print(time.perf_counter() - began)
"""


def build(text: Path, tokenizer: Path, out: Path) -> tuple[float, int]:
    """Seconds of `build_corpus`, its workers' start included, and the peak bytes of all."""
    workers = str(len(os.sched_getaffinity(0)))
    command = [sys.executable, "-c", BUILD, str(text), str(tokenizer), str(out), workers]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _tree_rss(watched))
            time.sleep(0.05)
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise SystemExit("the build failed")
    return float(printed), peak


def _tree_rss(process: psutil.Process) -> int:
    resident = 0
    for member in [process, *_children(process)]:
        try:
            resident += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return resident


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def encode_batch(tokenizer: Tokenizer, texts: list[str]) -> tuple[float, int]:
    """Seconds of `encode_batch` on all cores, in batches of 1,000 documents, and the tokens."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    seconds, tokens = 0.0, 0
    for begin in range(0, len(texts), 1000):
        batch = texts[begin : begin + 1000]
        began = time.perf_counter()
        encodings = tokenizer.backend.encode_batch(batch, add_special_tokens=False)
        seconds += time.perf_counter() - began
        tokens += sum(map(len, encodings))
    return seconds, tokens


def require_same_tokens(ours: int, theirs: int) -> None:
    """End the benchmark where the two did not encode the same text."""
    if ours != theirs:
        raise SystemExit(f"our corpus has {ours:,} tokens, encode_batch gave {theirs:,}")


@told_in_a_line()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 MB, under a minute")
    quick: bool = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tokenizer = make_tokenizer(folder / "tokenizer")
        compared = folder / "compared.jsonl"
        size = write_text(compared, QUICK_BYTES if quick else COMPARED_BYTES)
        texts = [
            "\n".join(clean_document(document.text)[0]) for document in read_documents([compared])
        ]
        ours, theirs, peak = [], [], 0
        for number in range(ROUNDS):
            seconds, resident = build(compared, folder / "tokenizer", folder / f"corpus{number}")
            ours.append(size / 1e6 / seconds)
            seconds, tokens = encode_batch(tokenizer, texts)
            theirs.append(size / 1e6 / seconds)
            require_same_tokens(Corpus.open(folder / f"corpus{number}").num_tokens, tokens)
            peak = max(peak, resident)
        print(
            f"text {size / 1e6:.1f} MB, {len(texts):,} documents, vocabulary "
            f"{tokenizer.vocab_size:,}, {ROUNDS} rounds, {os.cpu_count()} cores"
        )
        print(
            f"ours {statistics.median(ours):.2f} MB/s, encode_batch "
            f"{statistics.median(theirs):.2f} MB/s (medians; ours: {_listed(ours)}; "
            f"theirs: {_listed(theirs)})"
        )
        if not quick:
            del texts
            large = folder / "large.jsonl"
            size = write_text(large, FULL_BYTES)
            seconds, peak = build(large, folder / "tokenizer", folder / "large")
            print(f"text {size / 1e6:.0f} MB: {seconds:.0f} s, {size / 1e6 / seconds:.2f} MB/s")
            _print_size(Corpus.open(folder / "large"))
        else:
            _print_size(Corpus.open(folder / "corpus0"))
        print(f"peak RSS of all processes {peak / 1e6:.0f} MB")
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(f"ratio corpus_vs_encode_batch {ratio:.2f} bar {THROUGHPUT_BAR:.2f}")
        print(f"ratio peak_rss_over_600MB {peak / MEMORY_BAR:.2f} bar 1.00")


def _listed(rates: list[float]) -> str:
    return ", ".join(f"{rate:.2f}" for rate in rates)


def _print_size(corpus: Corpus) -> None:
    on_disk = sum(corpus.manifest.sizes.values())
    boundaries = sum(
        corpus.manifest.sizes[name]
        for name in ("word_starts.bin", "sentence_offsets.bin", "document_offsets.bin")
    )
    tokens = corpus.tokens.nbytes
    print(
        f"{corpus.num_tokens:,} tokens; on disk {on_disk / 1e6:.1f} MB: {tokens / 1e6:.1f} tokens, "
        f"{boundaries / 1e6:.1f} boundaries, the rest {(on_disk - boundaries) / tokens:.3f} of it"
    )


if __name__ == "__main__":
    main()
