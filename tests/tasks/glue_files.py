"""A small GLUE in the official layouts: texts of two moods, a label made of the last one's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jobs.tiny import GLAD, PLAIN, SAD

TRAIN, DEV, TEST = 48, 18, 9
HEADS = {
    "SST-2": ("sentence", "label"),
    "MRPC": ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"),
    "STS-B": (
        *("index", "genre", "filename", "year", "old_index", "source1", "source2"),
        *("sentence1", "sentence2", "score"),
    ),
    "QQP": ("id", "qid1", "qid2", "question1", "question2", "is_duplicate"),
    "QNLI": ("index", "question", "sentence", "label"),
    "RTE": ("index", "sentence1", "sentence2", "label"),
    "WNLI": ("index", "sentence1", "sentence2", "label"),
}
MNLI = (
    *("index", "promptID", "pairID", "genre", "sentence1_binary_parse", "sentence2_binary_parse"),
    *("sentence1_parse", "sentence2_parse", "sentence1", "sentence2"),
)
LABELS = {
    "STS-B": ("5.000", "0.250"),
    "QNLI": ("entailment", "not_entailment"),
    "RTE": ("entailment", "not_entailment"),
    "MNLI": ("entailment", "contradiction", "neutral"),
}
TEXTS = ("sentence1", "#1 String", "question1", "question")
"""The first text's column; the other texts are the ones below."""
SECOND = ("sentence", "sentence2", "#2 String", "question2")
LABEL = ("label", "Quality", "score", "is_duplicate", "gold_label")


def write_glue(folder: Path) -> Path:
    """Every file of every task."""
    generator = np.random.default_rng(0)
    sizes = {"train": TRAIN, "dev": DEV, "test": TEST}
    for split, count in sizes.items():
        rows = [_cola(generator, index, split == "test") for index in range(count)]
        head = [("index", "sentence")] if split == "test" else []
        _write(folder / "CoLA" / f"{split}.tsv", [*head, *rows])
    for name, columns in HEADS.items():
        for split, count in sizes.items():
            own = columns if split != "test" else tuple(c for c in columns if c not in LABEL)
            if split == "test" and name == "QQP":
                own = ("id", "question1", "question2")
            elif split == "test" and "index" not in own:
                own = ("index", *own)
            _write(folder / name / f"{split}.tsv", _table(generator, name, own, count))
    labels = ("label1", "label2", "label3", "label4", "label5")
    for split, columns, count in (
        ("train", (*MNLI, "label1", "gold_label"), TRAIN),
        ("dev_matched", (*MNLI, *labels, "gold_label"), DEV),
        ("dev_mismatched", (*MNLI, *labels, "gold_label"), DEV + 1),
        ("test_matched", MNLI, TEST),
        ("test_mismatched", MNLI, TEST + 1),
    ):
        _write(folder / "MNLI" / f"{split}.tsv", _table(generator, "MNLI", columns, count))
    columns = ("index", "sentence1", "sentence2")
    _write(folder / "diagnostic" / "diagnostic.tsv", _table(generator, "AX", columns, TEST + 2))
    return folder


def _cola(generator: np.random.Generator, index: int, is_test: bool) -> tuple[str, ...]:
    text = _text(generator, index % 2)
    if is_test:
        return (str(index), text)
    return ("gj04", str(1 - index % 2), "*" if index % 2 else "", text)


def _table(
    generator: np.random.Generator, name: str, columns: Sequence[str], count: int
) -> list[tuple[str, ...]]:
    labels = LABELS.get(name, ("1", "0"))
    rows: list[tuple[str, ...]] = [tuple(columns)]
    for index in range(count):
        mood = index % len(labels)
        cells = {"index": str(index), "id": str(index)}
        cells |= dict.fromkeys(TEXTS, " ".join(generator.choice(PLAIN, size=4)))
        cells |= dict.fromkeys(SECOND, f'"{_text(generator, mood)}')
        cells |= dict.fromkeys((*LABEL, "label1"), labels[mood])
        rows.append(tuple(cells.get(column, "n/a") for column in columns))
    return rows


def _text(generator: np.random.Generator, mood: int) -> str:
    words = list(generator.choice(PLAIN, size=generator.integers(3, 8)))
    words.insert(0, generator.choice((GLAD, SAD, PLAIN)[mood]))
    return " ".join(words)


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
