"""Plausible slips that would cost somebody a file or a night, refused before the work."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from bertsmith.cli.main import main
from bertsmith.cli.tables import print_confusion, print_table
from bertsmith.errors import BertsmithError
from bertsmith.report.page import Table


def bertsmith(*arguments: object) -> None:
    main.main([str(argument) for argument in arguments], "bertsmith", standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "odd"),
    [
        ("pretrain bert --corpus c --out --dry-run", "--dry-run"),
        ("finetune classify --train a.tsv --dev b.tsv --model m --out --from-scratch", "--from"),
        ("tokenizer train --text --vocab-size 10 --out t", "--vocab-size"),
        ("analyze attention --model m --out o --pair he --pronouns", "--pronouns"),
        ("glue --data --tasks CoLA --model m --out g", "--tasks"),
    ],
)
def test_an_option_is_no_value_of_another(arguments: str, odd: str) -> None:
    with pytest.raises(click.UsageError, match=f"needs a value, and '{odd}"):
        bertsmith(*arguments.split())


def test_an_option_with_a_value_of_its_own_needs_none(tmp_path: Path) -> None:
    given = ("--train", tmp_path, "--dev", tmp_path, "--model", tmp_path, "--out", tmp_path)
    with pytest.raises(BertsmithError, match="a folder, not a file; name a file in it"):
        bertsmith("finetune", "classify", *given, "--search", "--epochs", 1)


def test_analyses_replace_no_report_of_a_run(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("of a run")
    fill = ("analyze", "fill", "--model", tmp_path / "none", "--text", "a [MASK]")
    with pytest.raises(BertsmithError, match=r"another report\.html"):
        bertsmith(*fill, "--out", tmp_path)
    with pytest.raises(BertsmithError, match="is no folder"):
        bertsmith(*fill, "--out", page)
    (tmp_path / "layers.tsv").write_text("")  # an analysis, whose .json may be gone
    with pytest.raises(BertsmithError, match="no such model"):
        bertsmith(*fill, "--out", tmp_path)


def test_special_tokens_that_want_more_than_their_flag_say_which_recipe_has_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.txt").write_text("A text.")
    given = ("--text", tmp_path / "a.txt", "--vocab-size", 300, "--out", tmp_path / "tokenizer")
    for name in ("roberta", "t5"):
        kind = "bpe" if name == "roberta" else "wordpiece"
        with pytest.raises(BertsmithError, match=f"--recipe {name} has all of it"):
            bertsmith("tokenizer", "train", *given, "--kind", kind, "--special-tokens", name)


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_what_is_read_is_not_replaced(verb: str, tmp_path: Path) -> None:
    table = tmp_path / "dev.tsv"
    table.write_text("text\tlabel\na film\tgood\n")
    with pytest.raises(BertsmithError, match="is read here"):
        bertsmith(verb, tmp_path / "model", table, "--out", tmp_path / "." / "dev.tsv")


def test_a_check_replaces_nothing_that_it_reads(tmp_path: Path) -> None:
    table = tmp_path / "train.tsv"
    table.write_text("text\tlabel\na film\tgood\n")
    for flag in ("--out", "--html"):
        with pytest.raises(BertsmithError, match="is read here"):
            bertsmith("check", "data", table, flag, table)
    with pytest.raises(BertsmithError, match="two kinds"):
        bertsmith("check", "data", table, "--out", tmp_path / "x", "--html", tmp_path / "x")
    assert table.read_text().startswith("text")


def test_two_lists_of_phrases_are_two_files(tmp_path: Path) -> None:
    both = tmp_path / "phrases.tsv"
    with pytest.raises(BertsmithError, match="two lists in one file"):
        bertsmith("corpus", "phrases", tmp_path, "--out", both, "--entities", both)


@pytest.mark.parametrize("name", ["en_ewt-ud-train.conllu", "a class with a very long name"])
def test_narrow_tables_keep_their_words(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_confusion(["0", "1"], [[1, 2], [3, 4]])
    assert capsys.readouterr().out.startswith("rows: true class, columns: predicted\n")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    monkeypatch.setenv("COLUMNS", "40")
    print_table(Table(["file", *"abcdefg"], [[name, *[12345] * 7]], "what is there"))
    assert "…" not in capsys.readouterr().out
