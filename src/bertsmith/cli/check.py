"""`bertsmith check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bertsmith.cli.options import COLUMNS, apply


@click.group()
def check() -> None:
    """Look at labelled data before anything is trained."""


@check.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=Path)
@click.option(
    "--task",
    help="What it would be trained for: classify, multilabel, regress, tag, qa, choice or "
    "symbols.  "
    "[default: by the first file]",
)
@apply(*COLUMNS)
@click.option("--model", type=Path, help="A model's folder, to measure texts with its tokenizer.")
@click.option("--tokenizer", type=Path, help="... or a tokenizer's folder.")
@click.option("--max-length", type=int, help="Tokens of a text.  [default: as in finetune]")
@click.option("--out", type=Path, help="Where all of it goes as JSON, every line named.")
@click.option("--html", type=Path, help="Where it goes as a page.")
def data(
    files: tuple[Path, ...],
    task: str | None,
    text_column: str | None,
    pair_column: str | None,
    label_column: str | None,
    no_header: bool,
    model: Path | None,
    tokenizer: Path | None,
    max_length: int | None,
    out: Path | None,
    html: Path | None,
) -> None:
    """Say what is in labelled files, and what is wrong with them.

    FILE is whatever finetune takes, the training set first, or a folder with GLUE's files.
    Told, each with its lines: counts, the balance of labels, rows that are there twice,
    contradicting labels, rows that two files share, texts beyond the length limit, tags that
    break their scheme, answers that are not where they should be.

    The exit status is 0 where nothing was found but notes, 1 where there are warnings, and 2
    where finetune would refuse a file.
    """
    from bertsmith.cli.tables import print_table
    from bertsmith.jobs.check import check_data
    from bertsmith.report.check import check_summary, counts_table, findings_table
    from bertsmith.tasks.tables import Columns

    columns = Columns(text_column, pair_column, label_column, header=not no_header)
    result = check_data(
        files,
        task=task,
        columns=None if columns == Columns() else columns,
        model=model,
        tokenizer=tokenizer,
        max_length=max_length,
        out=out,
        html=html,
    )
    sets = result.records
    if any(one["files"] for one in sets):
        print_table(counts_table(sets))
        if any(file["findings"] for one in sets for file in one["files"]):
            print_table(findings_table(sets))
        click.echo(check_summary(sets))
    for error in result.errors:
        click.echo(f"bertsmith: error: {error}", err=True)
    sys.exit(result.status)
