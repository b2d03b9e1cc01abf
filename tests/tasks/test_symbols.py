"""Sequences of symbols as a task: what is there twice, what is held out, what is said of it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bertsmith.errors import ConfigError, DataError
from bertsmith.tasks.parting import HELD_OUT
from bertsmith.tasks.symbols import TASK, SymbolTask, symbols
from bertsmith.tasks.tables import Labelled, TextRow

ROWS = [("EI", "ACGT"), ("EI", "acgt"), ("IE", "GGTT"), ("N", "TT AA"), ("EI", "TTAA")]


def table(path: Path, rows: list[tuple[str, str]]) -> Labelled[TextRow]:
    path.write_text("label\tsequence\n" + "".join(f"{label}\t{text}\n" for label, text in rows))
    return TASK.read(path)


def many(count: int) -> list[tuple[str, str]]:
    letters = "ACGT"
    words = (
        "".join(letters[number // 4**place % 4] for place in range(6)) for number in range(count)
    )
    return [("AB"[number % 5 == 0], word) for number, word in enumerate(words)]


def test_equal_sequences_are_taken_once_and_contradictions_not_at_all(tmp_path: Path) -> None:
    train = table(tmp_path / "train.tsv", ROWS)
    dev = table(tmp_path / "dev.tsv", [("IE", "ggtt"), ("N", "NNNN"), ("N", "nnnn")])
    kept, scored = TASK.parted(train, dev)
    assert [row.line for row in kept.rows] == [2]
    assert [row.line for row in scored.rows] == [2, 3]
    assert [note.replace(f"{tmp_path}/", "") for note in kept.notes] == [
        "2 of 5 in train.tsv are there before, and left out",
        "1 have different labels in different lines, and are left out: those of line 5",
        "1 of 3 in dev.tsv are there before, and left out",
        "1 of train.tsv are in dev.tsv too, and not learnt from",
        "4 symbols of the dev set are unknown to the training set: 'n'",
    ]


def test_holding_out_takes_no_longer_with_many_classes(tmp_path: Path) -> None:
    class Label(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Label.compared += 1
            return str.__eq__(self, other)  # type: ignore[arg-type]

        __hash__ = str.__hash__

    data = table(tmp_path / "train.tsv", many(600))
    rows = [row._replace(label=Label(place // 3)) for place, row in enumerate(data.rows)]
    train, dev = TASK.parted(replace(data, rows=rows), None)
    assert (len(train.rows), len(dev.rows)) == (400, 200)
    assert Label.compared < 10 * len(rows)


def test_a_fifth_of_each_class_is_held_out_whatever_the_order(tmp_path: Path) -> None:
    rows = many(100)
    one, other = (
        TASK.parted(table(tmp_path / name, order), None)
        for name, order in (("one.tsv", rows), ("other.tsv", rows[::-1]))
    )
    for train, dev in (one, other):
        assert Counter(row.label for row in dev.rows) == {"A": 16, "B": 4}
        assert len(train.rows) == 80
        assert not {row.text for row in train.rows} & {row.text for row in dev.rows}
    assert {row.text for row in one[1].rows} == {row.text for row in other[1].rows}
    again = symbols(split_seed=1).parted(table(tmp_path / "one.tsv", rows), None)[1]
    assert {row.text for row in again.rows} != {row.text for row in one[1].rows}
    assert one[0].notes == ("20 of 100 are held out, by seed 0",)
    same = TASK.parted(*(table(tmp_path / "one.tsv", rows) for _ in range(2)))
    assert [part.rows for part in same] == [part.rows for part in one]


def test_the_task_is_as_long_as_its_sequences_and_names_its_symbols(tmp_path: Path) -> None:
    train = table(tmp_path / "train.tsv", [("a", "AC GT"), ("b", "aag")])
    suited = TASK.suited(train)
    assert suited.counts == {"a": 3, "c": 1, "g": 2, "t": 1}
    assert suited.usual["max_length"] == 8
    assert suited.described(train, ["a", "b"]) == (
        "in 'sequence', 2 labels in 'label'; 4 symbols, each for a word drawn by seed 0"
    )
    assert "a new embedding" in symbols(new_embeddings=True).suited(train).described(train, ["a"])
    notes = symbols(alphabet="words").suited(train)
    assert notes.counts == {"AC": 1, "GT": 1, "aag": 1}


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no alphabet 'runes'; there are letters, notes, words"):
        symbols(alphabet="runes")
    with pytest.raises(ConfigError, match="-1 draws nothing"):
        symbols(mapping_seed=-1)
    (tmp_path / "pairs.tsv").write_text("label\ttext_a\ttext_b\nx\tAC\tGT\n")
    with pytest.raises(DataError, match=r"a second text, 'text_b'.*--text-column"):
        TASK.parted(TASK.read(tmp_path / "pairs.tsv"), None)


@pytest.mark.parametrize(
    ("name", "task", "rows", "kept", "classes", "fewest", "most"),
    [
        ("dna_splice", TASK, 3190, 3004, 3, 8, 8),
        ("music_nottingham", symbols(alphabet="notes"), 1006, 1003, 6, 400, 500),
    ],
)
def test_real_sets(
    name: str, task: SymbolTask, rows: int, kept: int, classes: int, fewest: int, most: int
) -> None:
    path = Path(os.environ.get("BERTSMITH_DATA", "")) / "symbols" / f"{name}.tsv"
    if not path.is_file():
        pytest.skip("$BERTSMITH_DATA has no symbols")
    whole = task.read(path)
    train, dev = task.parted(whole, None)
    assert (len(whole.rows), len(train.rows) + len(dev.rows)) == (rows, kept)
    assert len(dev.rows) == pytest.approx(HELD_OUT * kept, abs=classes)
    assert len(task.output_names(train)) == classes
    assert fewest <= len(task.suited(whole).counts) <= most
