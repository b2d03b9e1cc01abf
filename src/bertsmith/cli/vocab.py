"""`bertsmith vocab`: a vocabulary with a domain's words added."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bertsmith.cli.options import LAYOUT, RECORD_COLUMN, ManyValuesCommand

if TYPE_CHECKING:
    from bertsmith.jobs.extend_vocabulary import Extension

EXAMPLES = 12


@click.group()
def vocab() -> None:
    """Add a domain's words to a model."""


@vocab.command(cls=ManyValuesCommand)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--text", "texts", multiple=True, metavar="PATH...", help="Texts of the domain.")
@click.option("--add", type=click.IntRange(1), help="Of the text, so many words.")
@click.option(
    "--words", type=click.Path(path_type=Path), metavar="FILE", help="These words, one a line."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@RECORD_COLUMN
@LAYOUT
def extend(
    model: Path,
    texts: tuple[str, ...],
    add: int | None,
    words: Path | None,
    out: Path,
    layout: str,
    text_column: str,
) -> None:
    """Give MODEL tokens for words that it cuts into pieces; each begins as the mean of them.

    From a text, the words that would save the most tokens: (pieces - 1) x occurrences. Texts
    without these words keep their ids and their vectors. Pre-train further with the new folder:
    `bertsmith pretrain RECIPE --from OUT`, on a corpus built with `--tokenizer OUT`.
    """
    from bertsmith.cli.progress import byte_progress
    from bertsmith.jobs.extend_vocabulary import extend_vocabulary

    with byte_progress("reading") as progress:
        found = extend_vocabulary(
            model,
            out,
            texts=texts,
            add=add or 0,
            words=words,
            layout=layout,  # type: ignore[arg-type]
            text_column=text_column,
            progress=progress,
            now=progress.now,
        )
    click.echo(f"model               {out}")
    _print(found)


def _print(found: Extension) -> None:
    before, after = found.before, found.after
    saved = 1 - after.tokens / before.tokens if before.tokens else 0.0
    click.echo(f"vocabulary          {found.vocab_size:,} ({len(found.added):,} new)")
    click.echo(f"pieces per word     {before.pieces_per_word:.3f} -> {after.pieces_per_word:.3f}")
    click.echo(f"tokens of the text  {before.tokens:,} -> {after.tokens:,} ({saved:.1%} saved)")
    click.echo(f"unknown words       {before.unknown:,} -> {after.unknown:,}")
    shown = found.added[:EXAMPLES]
    width = max(len(word.word) for word in shown)
    click.echo(f"\n{'new word':<{width}}  {'count':>8}  its pieces")
    for word in shown:
        click.echo(f"{word.word:<{width}}  {word.count:>8,}  {' '.join(word.pieces)}")
