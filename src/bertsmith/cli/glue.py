"""`bertsmith glue`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bertsmith.cli.options import ManyValuesCommand, apply, training


@click.command(cls=ManyValuesCommand)
@click.option(
    "--data",
    required=True,
    multiple=True,
    type=Path,
    metavar="DIR...",
    help="Folders with GLUE's files, such as CoLA/train.tsv; the first that has a file is taken.",
)
@click.option("--model", required=True, type=Path, help="A pre-trained model's folder.")
@click.option("--out", required=True, type=Path, help="Where the results go.")
@click.option(
    "--tasks", multiple=True, metavar="NAME...", help="Some of them.  [default: all that are there]"
)
@apply(*training())
def glue(
    data: tuple[Path, ...], model: Path, out: Path, tasks: tuple[str, ...], **choices: Any
) -> None:
    """Fine-tune a model on GLUE's nine tasks, score it, and write the submission.

    Reads the official files as they are. Leaves a run folder for each task, OUT/glue.json,
    OUT/report.html and OUT/submission.zip with AX predicted by the MNLI model. The same
    command again goes on: a finished seed is kept.
    """
    from bertsmith.cli.tables import print_table
    from bertsmith.jobs import glue as job
    from bertsmith.report.glue import glue_notes, glue_table

    result = job.glue(data, model, out, tasks=tasks, **choices)
    if not result.finished:
        click.echo("stopped; the same command again goes on from here", err=True)
        sys.exit(result.exit_status)
    print_table(glue_table(result.scores))
    for note in glue_notes(result.scores):
        click.echo(note)
    click.echo(result.folder / "report.html")
    if result.scores["submission"]["files"]:
        click.echo(result.folder / "submission.zip")
