"""`bertsmith finetune`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bertsmith.cli.options import CLASS_WEIGHTS, COLUMNS, SEARCH, THRESHOLD, apply, training

if TYPE_CHECKING:
    from bertsmith.tasks.base import Task

_TABLES = (
    click.option("--train", required=True, type=Path, help="Labelled rows to learn from."),
    click.option("--dev", type=Path, help="... to be scored on.  [default: a fifth of them]"),
    click.option("--model", required=True, type=Path, help="A pre-trained model's folder."),
    click.option("--out", required=True, type=Path, help="Where the results go."),
)


@click.group()
def finetune() -> None:
    """Fine-tune a model on labelled text.

    TRAIN and DEV are .csv, .tsv or .jsonl files with a text, or two, and a label a row (for
    tag, CoNLL files); the columns are guessed from their names. Without DEV a fifth of TRAIN is
    held out, always the same. Leaves OUT/model, OUT/scores.json and OUT/report.html. The same
    command again, or with more seeds, goes on: a finished seed is kept, and one that was
    interrupted goes on.
    """


@finetune.command()
@apply(*_TABLES, *COLUMNS, *training(), *SEARCH, CLASS_WEIGHTS, *THRESHOLD)
def classify(**choices: Any) -> None:
    """Teach a model to tell classes of text apart.

    The label is a class: a word or a whole number.
    """
    _run("classify", **choices)


@finetune.command()
@apply(*_TABLES, *COLUMNS, *training(), *SEARCH, CLASS_WEIGHTS, *THRESHOLD)
def multilabel(**choices: Any) -> None:
    """Teach a model to give a text any number of labels.

    The label's column holds them with commas between, or, in JSON, as a list; it may be empty.
    """
    _run("multilabel", **choices)


@finetune.command()
@apply(*_TABLES, *COLUMNS, *training(), *SEARCH)
def regress(**choices: Any) -> None:
    """Teach a model to give a text a number, by mean squared error.

    The label is a number.
    """
    _run("regress", **choices)


@finetune.command()
@apply(*_TABLES)
@click.option("--text-column", help="Number from 1, or name in CoNLL-U, of the word's column.")
@click.option("--label-column", help="... of the tag's.  [default: the last; in CoNLL-U, upos]")
@click.option("--crf", is_flag=True, help="Score neighbouring tags together.")
@click.option(
    "--features",
    metavar="LAYERS",
    help="Freeze the model and read these layers: embeddings, last, second-to-last, "
    "sum-last-four, concat-last-four, or mix, a learnt sum of all.",
)
@click.option(
    "--tagger",
    type=click.Choice(["bilstm", "linear"]),
    help="What reads them.  [default: bilstm]",
)
@apply(
    *training("sentences", "3, with --features 10", length="Tokens of a window.  [default: 128]"),
    *SEARCH,
    CLASS_WEIGHTS,
)
def tag(crf: bool, features: str | None, tagger: str | None, **choices: Any) -> None:
    """Teach a model to label words: names, chunks, parts of speech.

    TRAIN and DEV are CoNLL columns, a word and its tags a line and an empty line after a
    sentence, or CoNLL-U. Tags that spell spans (IOB1, IOB2, BIOES) are scored as conlleval
    does. Long sentences are read in windows.
    """
    from bertsmith.tasks.tagging import tagging

    task = tagging(crf=crf, features=features, tagger=tagger)
    _run(task, pair_column=None, no_header=True, **choices)


@finetune.command()
@apply(
    *_TABLES,
    *training("questions", "2", length="Tokens of a window.  [default: 384]"),
    *SEARCH,
)
@click.option("--stride", type=int, help="Tokens from one window to the next.  [default: 128]")
@click.option("--language", help="Whose rules answers are compared by.  [default: by the script]")
def qa(stride: int | None, language: str | None, **choices: Any) -> None:
    """Teach a model to answer questions by a span of a text, or not at all.

    TRAIN and DEV are SQuAD's .json files (1.1, 2.0, and in that format DRCD and XQuAD), or
    .jsonl with question, context and answers. Long texts are read in windows.
    """
    from dataclasses import replace

    from bertsmith.tasks import qa as task

    given = {"stride": stride, "language": language}
    settings = {key: value for key, value in given.items() if value is not None}
    _train(replace(task.TASK, settings={**task.TASK.settings, **settings}), **choices)


@finetune.command()
@apply(
    *_TABLES,
    *training(
        "questions",
        batch_size=16,
        length="Tokens of an option and its text; the rest is cut.  [default: 128]",
    ),
    *SEARCH,
)
def choice(**choices: Any) -> None:
    """Teach a model to choose the right one of several options.

    TRAIN and DEV are SWAG's .csv, MCTest's .tsv with its .ans beside it, or .jsonl with
    question, options and label.
    """
    _train("choice", **choices)


@finetune.command()
@apply(
    *_TABLES,
    COLUMNS[0],
    *COLUMNS[2:],
    click.option(
        "--alphabet",
        type=click.Choice(["letters", "notes", "words"]),
        default="letters",
        show_default=True,
        help="What a symbol is: a character, upper or lower case alike; a note of ABC notation; "
        "what stands between spaces.",
    ),
    click.option("--new-embeddings", is_flag=True, help="Not words: an embedding for each symbol."),
    click.option("--mapping-seed", type=int, default=0, help="Draws the words.  [default: 0]"),
    click.option("--split-seed", type=int, default=0, help="Draws that fifth.  [default: 0]"),
    *training(
        "sequences",
        length="Tokens of a sequence; the rest is cut.  [default: the longest's, if the model "
        "reads so many]",
    ),
    *SEARCH,
)
def symbols(
    alphabet: str,
    new_embeddings: bool,
    mapping_seed: int,
    split_seed: int,
    dev: Path | None,
    **choices: Any,
) -> None:
    """Teach a model of language to tell DNA, proteins or music apart.

    Each symbol stands for a random word of the vocabulary (Kao & Lee 2021). Sequences that come
    twice are taken once.
    """
    from bertsmith.tasks.symbols import symbols as chosen

    task = chosen(
        alphabet=alphabet,
        new_embeddings=new_embeddings,
        mapping_seed=mapping_seed,
        split_seed=split_seed,
    )
    _run(task, pair_column=None, dev=dev, **choices)


def _run(
    task: str | Task[Any, Any],
    text_column: str | None,
    pair_column: str | None,
    label_column: str | None,
    no_header: bool,
    **choices: Any,
) -> None:
    from bertsmith.tasks.tables import Columns

    columns = Columns(text_column, pair_column, label_column, header=not no_header)
    _train(task, columns=columns, **choices)


def _train(
    task: str | Task[Any, Any],
    train: Path,
    dev: Path | None,
    model: Path,
    out: Path,
    search: str | None = None,
    **choices: Any,
) -> None:
    from bertsmith.cli.tables import print_classes, print_confusion, print_summary
    from bertsmith.jobs import finetune as job

    if search is not None:
        _search(task, train, dev, model, out, grid=search, **choices)
        return
    result = job.finetune(task, train, dev, model, out, **choices)
    if not result.finished:
        _leave(result.exit_status)
    print_summary(result.scores)
    print_classes(result.best.get("types", ()))
    print_confusion(result.scores["labels"], result.best.get("confusion_matrix"))
    click.echo(f"{result.model}  the best of them\n{result.folder / 'report.html'}")


def _search(
    task: str | Task[Any, Any],
    train: Path,
    dev: Path | None,
    model: Path,
    out: Path,
    *,
    from_scratch: bool,
    **choices: Any,
) -> None:
    from bertsmith.cli.tables import print_summary, print_table
    from bertsmith.jobs.grid_search import search_grid
    from bertsmith.report.grid_search import search_table

    if from_scratch:
        raise click.UsageError("--search is over pre-trained runs: leave out --from-scratch")
    result = search_grid(task, train, dev, model, out, **choices)
    if not result.finished:
        _leave(result.exit_status)
    print_table(search_table(result.found))
    print_summary(result.scores)
    click.echo(f"{result.model}  the best of them\n{result.folder / 'report.html'}")


def _leave(status: int) -> NoReturn:
    click.echo("stopped; the same command again goes on from here", err=True)
    sys.exit(status)
