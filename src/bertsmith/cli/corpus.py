"""`bertsmith corpus`: turn text into a token corpus on disk, or look at one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bertsmith.cli.options import LAYOUT, RECORD_COLUMN, TEXT, ManyValuesCommand

if TYPE_CHECKING:
    from bertsmith.text.corpus import Corpus


FILES = 20
"""That a summary names."""


@click.group()
def corpus() -> None:
    """Turn text into a token corpus on disk, or look at one."""


@corpus.command(cls=ManyValuesCommand)
@TEXT
@click.option(
    "--tokenizer",
    "tokenizer_folder",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of a tokenizer.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Processes.  [default: one a core; one for little text]",
)
@click.option(
    "--segmenter",
    default="",
    metavar="MODULE:FUNCTION",
    help="A Python function that cuts a sentence into words, for scripts without spaces, "
    "such as jieba:lcut.",
)
@click.option(
    "--dask",
    "scheduler",
    metavar="ADDRESS",
    help="A dask scheduler, whose workers encode in place of processes here; they must see --out.",
)
@RECORD_COLUMN
@LAYOUT
def build(
    texts: tuple[str, ...],
    tokenizer_folder: Path,
    out: Path,
    workers: int | None,
    segmenter: str,
    scheduler: str | None,
    layout: str,
    text_column: str,
) -> None:
    """Encode text into memory-mapped token arrays.

    The same command again goes on after an interruption.
    """
    from contextlib import nullcontext

    from bertsmith.cli.progress import byte_progress
    from bertsmith.text.corpus_building import build_corpus
    from bertsmith.text.tokenizer import Tokenizer
    from bertsmith.text.workers import dask_cluster

    loaded = Tokenizer.load(tokenizer_folder)
    here = nullcontext((None, workers))
    with (
        byte_progress("encoding") as progress,
        dask_cluster(scheduler) if scheduler else here as (executor, at_once),
    ):
        built = build_corpus(
            texts,
            loaded,
            out,
            workers=at_once,
            executor=executor,
            layout=layout,  # type: ignore[arg-type]
            text_column=text_column,
            segmenter=segmenter,
            progress=progress,
        )
    _print_summary(built)


def _print_summary(built: Corpus) -> None:
    manifest = built.manifest
    click.echo(f"corpus     {built.folder}")
    click.echo(f"documents  {built.num_documents:,}")
    click.echo(f"sentences  {built.num_sentences:,}")
    click.echo(f"tokens     {built.num_tokens:,} ({manifest.dtype})")
    click.echo(
        f"removed    {manifest.duplicate_documents:,} duplicate documents, "
        f"{manifest.empty_documents:,} empty ones, "
        f"{manifest.repeated_lines:,} repeated lines, "
        f"{manifest.control_characters:,} control characters"
    )
    for file in manifest.inputs[:FILES]:
        click.echo(f"read       {file['path']} ({file['layout']}, {file['documents']:,} documents)")
    if more := manifest.inputs[FILES:]:
        documents = sum(file["documents"] for file in more)
        click.echo(f"read       {len(more):,} more files ({documents:,} documents)")


@corpus.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Read everything and compare checksums first.")
def report(folder: Path, verify: bool) -> None:
    """Say what is in the corpus in FOLDER."""
    from bertsmith.text.corpus import Corpus
    from bertsmith.text.report import corpus_report

    opened = Corpus.open(folder)
    if verify:
        opened.verify()
        click.echo("checksums           as written")
    found = corpus_report(opened)
    click.echo(f"documents           {found.documents:,}")
    click.echo(f"sentences           {found.sentences:,}")
    click.echo(f"words               {found.words:,}")
    click.echo(f"tokens              {found.tokens:,}")
    click.echo(f"pieces per word     {found.pieces_per_word:.3f}")
    click.echo(f"unknown tokens      {found.unknown_rate:.3%}")
    click.echo(f"sentence tokens     {_quantiles(found.sentence_tokens)}")
    click.echo(f"document tokens     {_quantiles(found.document_tokens)}")
    click.echo(
        f"unigram entropy     {found.unigram_entropy:.3f} nats, "
        f"{found.unigram_entropy_bits:.3f} bits a token"
    )
    click.echo(
        f"removed             {found.duplicate_documents:,} duplicate documents, "
        f"{found.repeated_lines:,} repeated lines, "
        f"{found.control_characters:,} control characters"
    )
    click.echo(
        f"on disk             {found.disk_bytes / 1e6:,.1f} MB, "
        f"of it {found.token_bytes / 1e6:,.1f} MB tokens"
    )
    tokens = "  ".join(f"{token} {count:,}" for token, count in found.frequent_tokens)
    click.echo(f"most frequent       {tokens}")
    click.echo("sentences from it")
    for sample in found.samples:
        click.echo(f"  {sample if len(sample) <= 160 else sample[:160] + ' ...'}")


@corpus.command()
@click.argument("folder", metavar="CORPUS", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="TSV to write, a phrase a line."
)
@click.option(
    "--entities", type=click.Path(path_type=Path), help="TSV of those that may be names or terms."
)
@click.option("--min-count", type=click.IntRange(2), default=10, show_default=True)
@click.option(
    "--longest", type=click.IntRange(2, 32), default=6, show_default=True, help="Words, at most."
)
@click.option(
    "--cohesion",
    type=click.FloatRange(0, 1),
    default=0.4,
    show_default=True,
    help="Least normalised mutual information of a phrase's parts.",
)
@click.option(
    "--freedom",
    type=click.FloatRange(0, 6),
    default=1.5,
    show_default=True,
    help="Least entropy, in bits, of the word before and of the word after.",
)
@click.option(
    "--burst",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Least residual IDF, in bits, of one of --entities.",
)
@click.option("--show", type=click.IntRange(0), default=30, show_default=True, help="Of the best.")
def phrases(
    folder: Path,
    out: Path,
    entities: Path | None,
    min_count: int,
    longest: int,
    cohesion: float,
    freedom: float,
    burst: float,
    show: int,
) -> None:
    """Find phrases in CORPUS by statistics, in any script.

    A phrase is a run of words that occur together more often than by chance, and among
    different neighbours. Names and terms crowd in few documents. The files are plain lists, to
    be edited, for masking by phrases and entities.
    """
    from rich.cells import cell_len

    from bertsmith.jobs.list_phrases import list_phrases

    found = list_phrases(
        folder,
        out,
        entities,
        min_count=min_count,
        longest=longest,
        cohesion=cohesion,
        freedom=freedom,
        burst=burst,
    )
    click.echo(f"{'phrase':<32} {'count':>9}  cohesion  freedom  burst")
    for one in found.phrases[:show]:
        measures = f"{one.count:>9,}  {one.cohesion:8.2f}  {one.freedom:7.2f}  {one.burst:5.2f}"
        click.echo(f"{one.text}{' ' * (32 - cell_len(one.text))} {measures}")
    least = f"of {found.min_count:,} occurrences or more"
    click.echo(f"\nphrases   {out}: {len(found.phrases):,}, {least}")
    if entities is not None:
        click.echo(f"entities  {entities}: {len(found.entities):,} of them")


@corpus.command()
@click.argument("run", metavar="RUN.toml|RECIPE")
@click.option(
    "--corpus",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="A corpus folder.",
)
@click.option("--samples", type=click.IntRange(0), default=4, show_default=True)
@click.option(
    "--at",
    "progress",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the run that is over, where masking changes on the way.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page of them, too.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one value of the run."
)
def preview(
    run: str,
    folder: Path,
    samples: int,
    progress: float,
    html: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Show what the model will see when RUN.toml is trained on a corpus.

    Samples with the chosen tokens in colour, masked, random or kept, their originals and the
    label of each pair; and the rates of all that, measured over a few hundred segments.
    """
    from bertsmith.cli.samples import print_preview
    from bertsmith.jobs.pretrain import load_config
    from bertsmith.jobs.preview import preview as job
    from bertsmith.text.corpus import Corpus

    config, opened = load_config(run, assignments), Corpus.open(folder)
    print_preview(job(config, opened, samples, progress, html))
    if html is not None:
        click.echo(f"\npage  {html}")


def _quantiles(lengths: dict[float, int]) -> str:
    return ", ".join(
        f"{'longest' if share == 1 else f'{share:.0%}'} {length:,}"
        for share, length in lengths.items()
    )
