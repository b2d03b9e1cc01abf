"""`bertsmith embed` and `bertsmith search`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bertsmith.cli.options import DEVICE, NO_HEADER, TEXT_COLUMN


@click.command()
@click.argument("model", type=Path)
@click.argument("file", type=Path)
@click.option("--out", type=Path, required=True, help="The .npy for the vectors, a row a text.")
@click.option("--pooling", type=click.Choice(["cls", "mean", "max"]), help="Of the tokens.")
@click.option(
    "--layers",
    default="last",
    show_default=True,
    help='What is pooled: "last", "first-last", or numbers such as "0,3,6"; 0: the embeddings.',
)
@click.option("--normalise/--no-normalise", default=None, help="To vectors of length one.")
@click.option("--whiten", is_flag=True, help="Take out what all texts share (Su et al. 2021).")
@click.option("--dimensions", type=click.IntRange(min=1), help="To keep when whitening.")
@click.option("--max-length", type=click.IntRange(min=3), help="Tokens of a text; the rest is cut.")
@click.option("--save", type=Path, help="A folder for sentence-transformers, whitening included.")
@TEXT_COLUMN
@NO_HEADER
@DEVICE
@click.option("--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto")
def embed(
    model: Path,
    file: Path,
    out: Path,
    pooling: str | None,
    layers: str,
    normalise: bool | None,
    whiten: bool,
    dimensions: int | None,
    max_length: int | None,
    save: Path | None,
    text_column: str | None,
    no_header: bool,
    device: str,
    precision: str,
) -> None:
    """Turn each text of FILE into a vector with MODEL.

    FILE is a .txt with a text a line, or a .csv, .tsv or .jsonl with a text column. Where MODEL
    is a folder of sentence-transformers, its pooling, length and normalisation hold unless others
    are asked for; of any other the mean of the last layer is taken.
    """
    # No two batches have one shape, so oneDNN's cache of kernels by shape only fills memory.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0")

    from bertsmith.jobs.embed import EmbedOptions, embed_file
    from bertsmith.tasks.tables import Columns

    if dimensions is not None and not whiten:
        raise click.UsageError("--dimensions goes with --whiten")
    found = embed_file(
        model,
        file,
        out,
        EmbedOptions(pooling, layers, normalise, whiten, dimensions, max_length, device, precision),
        columns=Columns(text_column, header=not no_header),
        save=save,
    )
    count, size = found.vectors.shape
    if found.truncated:
        click.echo(f"{found.truncated:,} of {count:,} texts were shortened", err=True)
    click.echo(f"{count:,} vectors of {size} numbers in {out}")


@click.command()
@click.argument("vectors", type=Path)
@click.argument("queries", nargs=-1, required=True, metavar="QUERY...")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--model", type=Path, help="Where the model is now, if it has moved.")
def search(vectors: Path, queries: tuple[str, ...], top: int, model: Path | None) -> None:
    """Find the texts nearest to each QUERY among VECTORS, a .npy that `bertsmith embed` made.

    Exact: every vector is compared. A line has the cosine, the text's row and the text.
    """
    from bertsmith.jobs.search import search as job

    for query, hits in zip(queries, job(vectors, queries, top, model=model), strict=True):
        if len(queries) > 1:
            click.echo(query)
        for hit in hits:
            click.echo(f"{hit.cosine:.4f}  {hit.row:>6}  {' '.join(hit.text.splitlines())}")
