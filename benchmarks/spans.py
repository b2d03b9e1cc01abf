"""Does a T5 say what stood there? Words cut out of sentences that it has not read.

    python -m benchmarks.spans MODEL --text FILE... --out FILE [--sentences N] [--longest K]

MODEL is an encoder-decoder with sentinels; the files are other ones than it was trained on. Of one
sentence a document, each drawn, one to K words that follow each other are cut out, once for each
length, and MODEL fills the gap with a beam search. An answer is right where it is those words, in
those letters. Beside it stands the answer that is right most often where it is given to all. OUT
gets every gap and the answer to it. `--quick` is the same thing with 20 sentences.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.mistakes import told_in_a_line
from bertsmith.errors import ConfigError, DataError
from bertsmith.export.huggingface import load_encoder_decoder, load_tokenizer, read_model
from bertsmith.files import write_text_atomically
from bertsmith.jobs.fill import fill_spans
from bertsmith.jobs.progress import Bar
from bertsmith.text.clean import clean_document
from bertsmith.text.sources import read_documents

WORD = r"[^\W\d_]+"
MOST_WORDS, FEWEST_WORDS = 60, 10
"""Of a sentence that is asked about."""
ANSWERS = 4
"""Of a search, that are looked at."""
QUICK_SENTENCES = 20


@dataclass(frozen=True)
class Gap:
    """A sentence without some of its words, and these."""

    text: str
    words: str


def gaps(sentences: Sequence[str], length: int, seed: int) -> Iterator[Gap]:
    """One of `length` words for each sentence that has as many in a row."""
    for number, sentence in enumerate(sentences):
        found = list(re.finditer(rf"(?=\b({' '.join([WORD] * length)})\b)", sentence))
        if found:
            place = found[int(np.random.default_rng((seed, number)).integers(len(found)))]
            text = f"{sentence[: place.start(1)]}<extra_id_0>{sentence[place.end(1) :]}"
            yield Gap(text, place.group(1))


def drawn(paths: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """One sentence a document, of the first `count` documents that have one."""
    rng = np.random.default_rng(seed)

    def sentences() -> Iterator[str]:
        for document in read_documents(paths):
            found = [
                sentence
                for sentence in clean_document(document.text)[0]
                if FEWEST_WORDS <= len(sentence.split()) <= MOST_WORDS
            ]
            if found:
                yield found[int(rng.integers(len(found)))]

    return list(islice(sentences(), count))


@told_in_a_line()
def main() -> None:
    """Ask, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True, help="a .tsv file")
    parser.add_argument("--sentences", type=int, default=500)
    parser.add_argument("--longest", type=int, default=3, help="in words")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if min(arguments.sentences, arguments.longest) < 1:
        raise ConfigError("--sentences and --longest begin at 1", mend="give a larger number")
    if not arguments.out.parent.is_dir():
        raise DataError("no such folder", where=arguments.out.parent, mend="make it first")
    folder = read_model(arguments.model)
    tokenizer = load_tokenizer(folder)
    model = load_encoder_decoder(folder).eval()
    count = QUICK_SENTENCES if arguments.quick else arguments.sentences
    sentences = drawn(arguments.text, count)
    rows = ["length\ttext\twords\tanswers\n"]
    print(f"{'words':>5}  {'gaps':>5}  {'first':>6}  {'in 4':>6}  {'length':>6}  constant")
    for length in range(1, arguments.longest + 1):
        asked = list(gaps(sentences, length, seed=length))
        if not asked:
            mend = "name texts with longer sentences, or a smaller --longest"
            raise DataError(f"no {length} words in a row", where=arguments.text[0], mend=mend)
        said = []
        with Bar(f"filling {length}", len(asked)) as bar:
            for gap in asked:
                guesses = fill_spans(model, tokenizer, gap.text, ANSWERS)[0]
                said.append([answer for answer, _ in guesses])
                bar.update(len(said))
        pairs = list(zip(asked, said, strict=True))
        rows += (f"{length}\t{gap.text}\t{gap.words}\t{' | '.join(own)}\n" for gap, own in pairs)
        first = np.mean([own[0] == gap.words for gap, own in pairs])
        among = np.mean([gap.words in own for gap, own in pairs])
        as_long = np.mean([len(own[0].split()) == length for _, own in pairs])
        ((constant, times),) = Counter(gap.words for gap in asked).most_common(1)
        print(
            f"{length:>5}  {len(asked):>5,}  {first:>6.1%}  {among:>6.1%}  {as_long:>6.1%}  "
            f"{constant!r} {times / len(asked):.1%}",
            flush=True,
        )
    write_text_atomically(arguments.out, "".join(rows))


if __name__ == "__main__":
    main()
