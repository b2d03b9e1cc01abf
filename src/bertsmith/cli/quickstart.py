"""`bertsmith quickstart`: the whole journey."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

import click

from bertsmith.cli.options import ManyValuesCommand


@click.command(cls=ManyValuesCommand)
@click.option(
    "--text",
    "own",
    multiple=True,
    metavar="PATH...",
    help="Files, folders or globs of your own.  [default: this Python's documentation]",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Of pre-training; the rest takes about as long again.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("quickstart"),
    show_default=True,
    help="Folder of everything that is made.",
)
def quickstart(own: tuple[str, ...], minutes: float, out: Path) -> int:
    """Text, tokenizer, corpus, pre-training, fine-tuning, report; no data needed.

    The same command again goes on after an interruption.
    """
    if not isfinite(minutes):
        raise click.BadParameter(f"{minutes} is no time", param_hint="'--minutes'")

    from rich.console import Console
    from rich.table import Table

    from bertsmith.jobs.quickstart.run import quickstart as job

    result = job(out, own, minutes, say=lambda line: click.echo(line, err=True))
    if result.report is None:
        click.echo("stopped; the same command goes on from here")
        return result.pretrained.exit_status
    table = Table(title=result.question.text)
    for name in ("labels", "pre-trained", "from scratch"):
        table.add_column(name, justify="right")
    for count, pretrained, scratch in result.table():
        table.add_row(f"{count:,}", f"{pretrained:.3f}", f"{scratch:.3f}")
    Console().print(table)
    click.echo("macro-F1 on unseen texts, median over seeds")
    click.echo(f"\nmodel   {result.pretrained.model}\nreport  {result.report}")
    return 0
