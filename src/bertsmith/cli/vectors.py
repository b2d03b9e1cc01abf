"""`bertsmith similar`, `bertsmith analogies` and `bertsmith wordsim`."""

from __future__ import annotations

from pathlib import Path

import click

_VECTORS = click.argument("vectors", metavar="MODEL|VECTORS", type=click.Path(path_type=Path))


@click.command()
@_VECTORS
@click.argument("word")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True)
def similar(vectors: Path, word: str, top: int) -> None:
    """Name the words whose vectors are nearest to WORD's, with their cosines.

    The vectors are a word2vec model's, or those of a file in word2vec's text format, also as
    .gz, .xz or .zst.
    """
    from bertsmith.jobs.word_vectors import similar as job

    for other, cosine in job(vectors, word, top):
        click.echo(f"{cosine:.4f}  {other}")


@click.command()
@_VECTORS
@click.argument("questions", type=click.Path(path_type=Path))
@click.option(
    "--most-frequent",
    type=click.IntRange(min=1),
    default=30_000,
    show_default=True,
    help="Words to search; questions with others are not covered.",
)
def analogies(vectors: Path, questions: Path, most_frequent: int) -> None:
    """Score word vectors on analogies: a is to b as c is to d.

    QUESTIONS is such a file as word2vec's questions-words.txt. The words of a question are no
    answer to it.
    """
    from bertsmith.jobs.word_vectors import score_analogies

    for name, score in score_analogies(vectors, questions, most_frequent).items():
        click.echo(
            f"{name:<28} {100 * score.accuracy:5.1f} %  {score.correct:,} of {score.covered:,} "
            f"({100 * score.covered / max(score.asked, 1):.1f} % of {score.asked:,} covered)"
        )


@click.command()
@_VECTORS
@click.argument("pairs", type=click.Path(path_type=Path), nargs=-1, required=True)
def wordsim(vectors: Path, pairs: tuple[Path, ...]) -> None:
    """Compare word vectors with how alike people find words.

    PAIRS are files of two words and a rating a line, such as WordSim-353 and SimLex-999.
    """
    from bertsmith.jobs.word_vectors import correlate

    for path, found in correlate(vectors, pairs).items():
        click.echo(
            f"{path.name:<28} Spearman {found.spearman:.3f}  "
            f"({100 * found.covered / found.asked:.1f} % of {found.asked:,} pairs covered)"
        )
