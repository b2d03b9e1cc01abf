"""`bertsmith fill`."""

from __future__ import annotations

from pathlib import Path

import click

from bertsmith.cli.options import DEVICE


@click.command()
@click.argument("model", type=Path)
@click.argument("text")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True)
@DEVICE
def fill(model: Path, text: str, top: int, device: str) -> None:
    """Fill every [MASK] of TEXT with what MODEL thinks most probable there.

    An encoder-decoder such as T5 fills <extra_id_0>, <extra_id_1> ... with any number of words.
    """
    from bertsmith.cli.tables import print_guesses
    from bertsmith.jobs.fill import fill as fill_text

    print_guesses(fill_text(model, text, top, device=device))
