"""`bertsmith predict` and `bertsmith evaluate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from bertsmith.cli.options import COLUMNS, DEVICE, NO_HEADER, PAIR_COLUMN, TEXT_COLUMN, apply


@click.command()
@click.argument("model", type=Path)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--out", type=Path, help="Where the lines go.  [default: standard output]")
@TEXT_COLUMN
@PAIR_COLUMN
@NO_HEADER
@DEVICE
def predict(
    model: Path,
    file: Path,
    out: Path | None,
    text_column: str | None,
    pair_column: str | None,
    no_header: bool,
    device: str,
) -> None:
    """Label the texts of FILE with the fine-tuned MODEL, a JSON line each.

    FILE is a .txt with a text a line, a .csv, .tsv or .jsonl with a text column, or - for
    standard input: a text a line, or JSON lines. A model that labels words takes CoNLL columns
    and CoNLL-U, too; one that answers questions takes SQuAD's .json, or JSON lines with question
    and context; one that chooses, questions with options as in finetune.
    """
    # No two batches have one shape, so oneDNN's cache of kernels by shape only fills memory.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0")

    from bertsmith.jobs.predict import predict_file
    from bertsmith.tasks.tables import Columns

    result = predict_file(
        model,
        file,
        out,
        columns=Columns(text_column, pair_column, header=not no_header),
        device=device,
        show_progress=out is not None or not sys.stdout.isatty(),
    )
    if result.truncated:
        click.echo(
            f"{result.truncated:,} of {result.texts:,} {result.unit} were shortened", err=True
        )
    if out is not None:
        click.echo(f"{result.texts:,} {result.unit} labelled in {out}")


@click.command()
@click.argument("model", type=Path)
@click.argument("file", type=Path)
@click.option("--out", type=Path, help="Where the scores go as JSON, too.")
@apply(*COLUMNS)
@DEVICE
def evaluate(
    model: Path,
    file: Path,
    out: Path | None,
    text_column: str | None,
    pair_column: str | None,
    label_column: str | None,
    no_header: bool,
    device: str,
) -> None:
    """Score the fine-tuned MODEL on the labelled FILE, of a kind that finetune takes."""
    from bertsmith.cli.tables import metrics_line, print_classes, print_confusion
    from bertsmith.jobs.predict import evaluate_file
    from bertsmith.tasks.tables import Columns

    columns = Columns(text_column, pair_column, label_column, header=not no_header)
    scores = evaluate_file(model, file, out, columns=columns, device=device)
    print_classes(scores["classes"])
    for kind, (count, accuracy) in scores.get("by_kind", {}).items():
        click.echo(f"{kind}: accuracy {accuracy:.3f} on {count:,}")
    print_confusion(scores["labels"], scores.get("confusion_matrix"))
    click.echo(f"{metrics_line(scores)}  on {scores['examples']:,} {scores['unit']}")
    if scores["truncated"]:
        click.echo(f"{scores['truncated']:,} {scores['unit']} were shortened", err=True)
