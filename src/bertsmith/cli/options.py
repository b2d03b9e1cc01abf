"""Command-line pieces that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click


class ManyValuesCommand(click.Command):
    """A command whose repeatable options take several values after one flag.

    `--text a b c` is `--text a --text b --text c`, for every option declared with
    `multiple=True`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the flag before each of its values, then parse as usual."""
        flags = {
            flag
            for option in self.params
            if isinstance(option, click.Option) and option.multiple
            for flag in option.opts
        }
        return super().parse_args(ctx, _with_repeated_flags(args, flags))


def _with_repeated_flags(args: Sequence[str], flags: set[str]) -> list[str]:
    repeated: list[str] = []
    flag = ""
    for index, arg in enumerate(args):
        if arg.startswith("-") and arg != "-":
            flag = arg if arg in flags else ""
            repeated.append(arg)
        elif flag and args[index - 1] != flag:
            repeated += [flag, arg]
        else:
            repeated.append(arg)
    return repeated


def require_values(command: click.Command, args: Sequence[str]) -> None:
    """Raise UsageError where the value of an option is missing, and another option in its place.

    click takes that for the value: with an empty variable, `--out $OUT --dry-run` would write to a
    folder called --dry-run, and be no dry run.
    """
    options = [option for option in command.params if isinstance(option, click.Option)]
    flags = {flag for option in options for flag in (*option.opts, *option.secondary_opts)}
    wanted = {
        flag: option.nargs
        for option in options
        if not (option.is_flag or option.count or option._flag_needs_value)
        for flag in option.opts
    }
    for place, flag in enumerate(args):
        values = args[place + 1 : place + 1 + wanted.get(flag, 0)]
        if odd := next((value for value in values if value in flags), None):
            raise click.UsageError(f"Option '{flag}' needs a value, and '{odd}' is none.")


TEXT = click.option(
    "--text",
    "texts",
    multiple=True,
    required=True,
    metavar="PATH...",
    help="Text files, folders or globs: .txt, .jsonl, .ndjson, .json, .csv, .tsv, also as .gz, .xz "
    'or .zst; .parquet. The text of a record is called "text".',
)
RECORD_COLUMN = click.option(
    "--text-column",
    default="text",
    show_default=True,
    metavar="NAME",
    help="What the text of a record is called, where it is something else.",
)
LAYOUT = click.option(
    "--layout",
    type=click.Choice(["auto", "file", "blank", "lines"]),
    default="auto",
    show_default=True,
    help="How a .txt holds documents: one a file; blank lines between them; a sentence a line, "
    "blank lines between documents.",
)
DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
TEXT_COLUMN = click.option("--text-column", help="Name, or number from 1, of the text's column.")
PAIR_COLUMN = click.option("--pair-column", help="... of the second text's, for pairs.")
LABEL_COLUMN = click.option("--label-column", help="... of the label's.")
NO_HEADER = click.option("--no-header", is_flag=True, help="The first line is data already.")
COLUMNS = (TEXT_COLUMN, PAIR_COLUMN, LABEL_COLUMN, NO_HEADER)
"""Of a table."""


def training(
    unit: str = "texts",
    epochs: str = "3",
    batch_size: int = 32,
    length: str = "Tokens of a text; the rest is cut.  [default: 128]",
) -> tuple[Callable[[Any], Any], ...]:
    """What every fine-tuning can be told, with the defaults of a task that learns from `unit`."""
    return (
        click.option("--seeds", type=int, help="How many runs; 3 below 10,000 examples, else 1."),
        click.option(
            "--from-scratch", is_flag=True, help="The same from random weights, to compare."
        ),
        click.option(
            "--workers", type=int, help="How many of them at once.  [default: by the cores]"
        ),
        click.option(
            "--epochs",
            type=int,
            help=f"Rounds over the training {unit}.  [default: {epochs}; more where that is under "
            "300 steps]",
        ),
        click.option(
            "--batch-size",
            type=int,
            help=f"{unit.capitalize()} of an optimizer step.  [default: {batch_size}]",
        ),
        click.option(
            "--lr", type=float, help="Peak learning rate.  [default: by the model's size]"
        ),
        click.option("--max-length", type=int, help=length),
        click.option(
            "--layer-decay",
            type=float,
            help="A layer's rate beside that of the one above, such as 0.9.",
        ),
        click.option(
            "--unfreeze",
            type=int,
            help="Layers that each epoch adds to those trained, from the top.",
        ),
        click.option(
            "--patience",
            type=int,
            help="Stop after so many epochs without a better dev score, and keep the best weights.",
        ),
        DEVICE,
    )


CLASS_WEIGHTS = click.option(
    "--class-weights",
    metavar="WEIGHTS",
    help="What an error costs: balanced, or LABEL=WEIGHT,LABEL=WEIGHT.",
)
THRESHOLD = (
    click.option(
        "--threshold", metavar="METRIC", help="Find the threshold of the best METRIC, such as f1."
    ),
    click.option(
        "--threshold-share",
        type=float,
        help="On this share of the training texts, held out.  [default: on the dev set]",
    ),
)

SEARCH = (
    click.option(
        "--search",
        metavar="[GRID]",
        is_flag=False,
        flag_value="usual",
        help="Try rates, epochs and batch sizes, and keep the best: around the values above, or "
        "such as 'lr=1e-4,3e-4 epochs=2,4 batch_size=16,32'.",
    ),
)


def apply(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One decorator of many, the first of them on top."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
