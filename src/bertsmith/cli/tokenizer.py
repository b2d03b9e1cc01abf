"""`bertsmith tokenizer`: train a tokenizer, or look at one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bertsmith.cli.options import LAYOUT, RECORD_COLUMN, TEXT, ManyValuesCommand

if TYPE_CHECKING:
    from bertsmith.text.report import TokenizerReport


@click.group()
def tokenizer() -> None:
    """Train a tokenizer, or look at one."""


@tokenizer.command(cls=ManyValuesCommand)
@TEXT
@click.option("--vocab-size", type=int, required=True, help="Tokens, the special ones in it.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--recipe", default="", help="Take the choices below that this recipe asks for.")
@click.option(
    "--kind",
    type=click.Choice(["wordpiece", "bpe", "unigram", "words", "characters"]),
    help="[default: wordpiece]",
)
@click.option("--lowercase/--no-lowercase", default=None, help="[default: lowercase]")
@click.option(
    "--strip-accents/--no-strip-accents",
    default=None,
    help="Write é as e. BERT's uncased models do.  [default: no-strip-accents]",
)
@click.option(
    "--isolate-chinese/--no-isolate-chinese",
    default=None,
    help="Make every Chinese character a word of its own, as BERT does.  [default: "
    "isolate-chinese]",
)
@click.option(
    "--special-tokens",
    type=click.Choice(["bert", "roberta", "t5"]),
    help="RoBERTa's go with bpe and text as it is, T5's with unigram.  [default: bert]",
)
@click.option(
    "--min-frequency",
    type=click.IntRange(1),
    help="Leave out what occurs less often; nothing to unigram and characters.  [default: 2]",
)
@RECORD_COLUMN
@LAYOUT
def train(
    texts: tuple[str, ...],
    vocab_size: int,
    out: Path,
    recipe: str,
    layout: str,
    text_column: str,
    **choices: Any,
) -> None:
    """Train a tokenizer on text and save it where transformers can load it.

    Prints what it makes of the text: coverage, unknown tokens, pieces per word.
    """
    from bertsmith.cli.progress import byte_progress
    from bertsmith.jobs.build_tokenizer import build_tokenizer

    with byte_progress("reading") as progress:
        report = build_tokenizer(
            texts,
            vocab_size,
            out,
            recipe=recipe,
            choices={name: value for name, value in choices.items() if value is not None},
            layout=layout,  # type: ignore[arg-type]
            text_column=text_column,
            progress=progress,
            now=progress.now,
        )
    click.echo(f"tokenizer           {out}")
    _print(report)


@tokenizer.command(cls=ManyValuesCommand)
@click.argument("folder", type=click.Path(path_type=Path))
@TEXT
@RECORD_COLUMN
@LAYOUT
def report(folder: Path, texts: tuple[str, ...], layout: str, text_column: str) -> None:
    """Say what the tokenizer in FOLDER makes of a text."""
    from bertsmith.cli.progress import byte_progress
    from bertsmith.jobs.build_tokenizer import report_tokenizer

    with byte_progress("reading") as progress:
        found = report_tokenizer(
            folder,
            texts,
            layout,  # type: ignore[arg-type]
            progress,
            text_column,
        )
    _print(found)


def _print(report: TokenizerReport) -> None:
    click.echo(f"vocabulary          {report.vocab_size:,} ({report.used_vocabulary:.1%} occurs)")
    click.echo(f"characters covered  {report.known_characters:.3%} of {report.characters:,}")
    click.echo(f"unknown tokens      {report.unknown_rate:.3%} of {report.tokens:,}")
    click.echo(f"pieces per word     {report.pieces_per_word:.3f}")
    click.echo(f"tokens per sentence {report.sentence_tokens:.1f}")
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
