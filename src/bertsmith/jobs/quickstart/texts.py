"""The quickstart's text, and a question about it that fine-tuning can answer.

Without text of one's own: the docstrings that this Python environment carries, and "which
library is this from?", with the libraries' names masked out. With it: "have two
neighbouring words been swapped?" (the bigram-shift probe of Conneau et al. 2018), whose
labels any text in any language gives for free. What the question is tested on is kept out
of pre-training.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path

import numpy as np

from bertsmith.data import rng
from bertsmith.errors import DataError
from bertsmith.files import write_text_atomically
from bertsmith.tasks.tables import TextRow
from bertsmith.text.clean import clean_document
from bertsmith.text.sources import Document, python_docs, read_documents

TEST_ROWS, TRAIN_ROWS = 1000, 1000
FEWEST_PER_LIBRARY = 400
MOST_CHARS = 64_000_000
"""Of one's own text; five minutes of training see far less."""
FEW_DOCUMENTS, PIECE = 200, 20
"""Fewer documents than this are cut into pieces of that many sentences."""
ASKED_SHARE = 0.1
FEWEST_ROWS = 100
SHORTEST_WORDS, LONGEST_WORDS = 6, 40
"""Of a sentence that is asked about."""

NAMES = {
    "python": ("python", "cpython"),
    "torch": ("pytorch", "torch"),
    "numpy": ("numpy", "np"),
    "scipy": ("scipy",),
    "sklearn": ("scikit-learn", "sklearn", "scikit"),
    "matplotlib": ("matplotlib", "pyplot", "plt", "mpl"),
    "pydantic": ("pydantic",),
    "rich": ("rich",),
    "click": ("click",),
    "jinja2": ("jinja2", "jinja"),
}
"""What gives a library away."""


@dataclass(frozen=True)
class Question:
    """Labelled rows to fine-tune on, others to test on, and what is asked of them."""

    text: str
    mask_note: str
    train: tuple[TextRow, ...]
    test: tuple[TextRow, ...]

    @property
    def labels(self) -> list[str]:
        """The answers there are."""
        return sorted({row.label for row in self.train})


def prepare_texts(folder: Path, own: Sequence[Path], anew: bool = False) -> tuple[Path, Question]:
    """The file to pre-train on and the question, written under `folder` once, or `anew`.

    Raises DataError where there is too little text to ask about.
    """
    corpus, question_file = folder / "pretraining.jsonl", folder / "question.json"
    if anew or not question_file.exists():
        documents, question = _own_text(own) if own else _python_text()
        folder.mkdir(parents=True, exist_ok=True)
        lines = (
            json.dumps({"title": d.title, "text": d.text}, ensure_ascii=False) + "\n"
            for d in documents
        )
        write_text_atomically(corpus, "".join(lines))
        write_text_atomically(question_file, json.dumps(asdict(question)))
    content = json.loads(question_file.read_text("utf-8"))
    train, test = (tuple(TextRow(*row) for row in content[name]) for name in ("train", "test"))
    return corpus, Question(content["text"], content["mask_note"], train, test)


def _python_text() -> tuple[list[Document], Question]:
    documents = list(python_docs())
    count = Counter(document.label for document in documents)
    asked = [d for d in documents if count[d.label] >= FEWEST_PER_LIBRARY]
    order = rng.generator("question").permutation(len(asked))
    chosen = [asked[int(index)] for index in order[: TEST_ROWS + TRAIN_ROWS]]
    names = [name for names in NAMES.values() for name in names]
    alternatives = "|".join(map(re.escape, names))
    given_away = re.compile(rf"(?<![^\W_])({alternatives})(?![^\W_])", re.IGNORECASE)
    rows = [TextRow(given_away.sub("[MASK]", d.text), label=d.label) for d in chosen]
    test = {id(document) for document in chosen[:TEST_ROWS]}
    question = Question(
        "Which library does a docstring document?",
        "The libraries' names and usual abbreviations are masked out of the docstrings.",
        train=tuple(_each_label_first(rows[TEST_ROWS:])),
        test=tuple(rows[:TEST_ROWS]),
    )
    return [document for document in documents if id(document) not in test], question


def _each_label_first(rows: Sequence[TextRow]) -> list[TextRow]:
    """One row of each label, then the others as they were: the smallest sets need them all."""
    firsts = {row.label: row for row in reversed(rows)}
    return [*firsts.values(), *(row for row in rows if row is not firsts[row.label])]


def _own_text(paths: Sequence[Path]) -> tuple[list[Document], Question]:
    """A tenth of the documents is asked about; a few long ones are first cut into pieces."""
    documents = list(_at_most(read_documents(list(paths)), MOST_CHARS))
    if len(documents) < FEW_DOCUMENTS:
        documents = [piece for document in documents for piece in _pieces(document)]
    asked = rng.uniform(rng.key("question"), np.arange(len(documents))) < ASKED_SHARE
    rows = [
        _row(sentence, number)
        for number, sentence in enumerate(
            sentence
            for document in compress(documents, asked)
            for sentence in clean_document(document.text)[0]
            if SHORTEST_WORDS <= len(_words(sentence)[0]) <= LONGEST_WORDS
        )
    ][: TEST_ROWS + TRAIN_ROWS]
    half = len(rows) // 2
    if half < FEWEST_ROWS:
        raise DataError(
            f"only {len(rows)} sentences to fine-tune and test on, of {2 * FEWEST_ROWS} needed",
            where=", ".join(map(str, paths)),
            mend="give more text: 1 MB or so, better 10",
        )
    question = Question(
        "Have two neighbouring words of the sentence been swapped?",
        "Half of the sentences are as they were written (bigram shift, Conneau et al. 2018).",
        train=tuple(rows[half:]),
        test=tuple(rows[:half]),
    )
    return list(compress(documents, ~asked)), question


def _at_most(documents: Iterable[Document], chars: int) -> Iterator[Document]:
    for document in documents:
        yield document
        chars -= len(document.text)
        if chars < 0:
            return


def _pieces(document: Document) -> Iterator[Document]:
    """Runs of PIECE sentences, each a document of its own."""
    sentences = clean_document(document.text)[0]
    for begin in range(0, len(sentences), PIECE):
        text = "\n".join(sentences[begin : begin + PIECE])
        yield Document(text, title=document.title, line_is_sentence=True)


def _row(sentence: str, number: int) -> TextRow:
    """Every other sentence with two different neighbouring words, away from its end, swapped."""
    words, space = _words(sentence)
    places = [at for at in range(len(words) - 2) if words[at] != words[at + 1]]
    if number % 2 or not places:
        return TextRow(sentence, label="as written")
    at = places[int(rng.generator("swap", sentence).integers(len(places)))]
    words[at], words[at + 1] = words[at + 1], words[at]
    return TextRow(space.join(words), label="swapped")


def _words(sentence: str) -> tuple[list[str], str]:
    """The words and what stands between them; characters where the script has no spaces."""
    words = sentence.split()
    return (words, " ") if len(words) * 20 > len(sentence) else (list(sentence), "")
