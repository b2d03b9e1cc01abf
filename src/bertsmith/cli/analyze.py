"""`bertsmith analyze`: instruments that show what a model knows."""

from __future__ import annotations

from pathlib import Path

import click

from bertsmith.cli.options import ManyValuesCommand, apply

_MODEL = click.option("--model", type=Path, required=True, help="A model folder.")
_OUT = click.option("--out", type=Path, required=True, help="Folder for data, figures and page.")


@click.group()
def analyze() -> None:
    """Look into a model: each instrument writes data, figures and its part of OUT/report.html."""


@analyze.command(cls=ManyValuesCommand)
@_MODEL
@_OUT
@click.option("--word", help="The word to compare.")
@click.option(
    "--sentences",
    type=Path,
    help="A .txt with a sentence a line, or a table of sentence and perhaps sense and word.",
)
@click.option(
    "--text", "texts", multiple=True, metavar="PATH...", help="Where to find sentences with --word."
)
@click.option("--chinese", is_flag=True, help="The ten sentences with 苹果, fruit and company.")
@click.option(
    "--layers",
    default="last",
    show_default=True,
    help='"last", "first-last", or numbers such as "0,3,6" for their mean; 0: the embeddings.',
)
def similarity(
    model: Path,
    out: Path,
    word: str | None,
    sentences: Path | None,
    texts: tuple[str, ...],
    chinese: bool,
    layers: str,
) -> None:
    """Compare the vectors of one word in many sentences.

    Without sentences: twenty English words with five sentences in each of two senses.
    """
    if sum(map(bool, (sentences, texts, chinese))) > 1:
        raise click.UsageError("--sentences, --text and --chinese go one without the other")

    from bertsmith.jobs.analyses.similarity import SETS, analyze_similarity

    sentences = SETS / "chinese.tsv" if chinese else sentences
    page = analyze_similarity(
        model, out, word=word, sentences=sentences, texts=texts, layers=layers
    )
    click.echo(f"{(out / 'similarity.tsv').read_text('utf-8')}report  {page}")


@analyze.command(cls=ManyValuesCommand)
@_MODEL
@_OUT
@click.option("--text", "texts", multiple=True, help="A text with one [MASK] or several.")
@click.option("--sentence", "sentences", multiple=True, help="To score, by pseudo-perplexity.")
@click.option("--pairs", type=Path, help="A table with the columns right and wrong, to judge.")
@click.option("--cola", type=Path, help="CoLA's folder, for the contrasting pairs in its files.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True)
def fill(
    model: Path,
    out: Path,
    texts: tuple[str, ...],
    sentences: tuple[str, ...],
    pairs: Path | None,
    cola: Path | None,
    top: int,
) -> None:
    """Ask a masked LM what it expects: gaps filled, sentences scored, pairs judged.

    Of a pair the likelier sentence is preferred (Salazar et al. 2020).
    """
    import json

    from bertsmith.cli.tables import print_sections
    from bertsmith.jobs.analyses.fill import analyze_fill
    from bertsmith.report.masked import sections

    page = analyze_fill(
        model, out, texts=texts, sentences=sentences, pairs=pairs, cola=cola, top=top
    )
    print_sections(sections(json.loads((out / "fill.json").read_text("utf-8"))))
    click.echo(f"report  {page}")


@analyze.command(cls=ManyValuesCommand)
@_MODEL
@_OUT
@click.option(
    "--pairs",
    type=Path,
    multiple=True,
    required=True,
    metavar="FILE...",
    help="Tables of two sentences and a rating, such as STS-B's and SICK's.",
)
@click.option(
    "--vectors", type=Path, help="A word2vec model, or a file of word vectors, beside it."
)
@click.option(
    "--text",
    "texts",
    multiple=True,
    metavar="PATH...",
    help="Where words are counted; without it in the pairs.",
)
@click.option("--max-length", type=click.IntRange(min=3), help="Tokens of a sentence.")
@click.option("--flow/--no-flow", default=True, help="The cure that takes longest, or not.")
def anisotropy(
    model: Path,
    out: Path,
    pairs: tuple[Path, ...],
    vectors: Path | None,
    texts: tuple[str, ...],
    max_length: int | None,
    flow: bool,
) -> None:
    """Measure how far all vectors point the same way, and what cures that.

    Random tokens by layer (Ethayarajh 2019), frequency against length and density, and cosines of
    sentence vectors against ratings: as they are, centred, whitened (Su et al. 2021), without
    their top directions (Mu & Viswanath 2018) and through a flow (Li et al. 2020).
    """
    from bertsmith.jobs.analyses.anisotropy import analyze_anisotropy

    page = analyze_anisotropy(
        model, out, pairs=pairs, vectors=vectors, texts=texts, max_length=max_length, flow=flow
    )
    click.echo(f"{(out / 'anisotropy.tsv').read_text('utf-8')}report  {page}")


_BILINGUAL = (
    click.option(
        "--source-text",
        "source_texts",
        multiple=True,
        metavar="PATH...",
        help="Text in the source language.",
    ),
    click.option(
        "--target-text",
        "target_texts",
        multiple=True,
        metavar="PATH...",
        help="Text in the target language; no translation.",
    ),
)


@analyze.command(cls=ManyValuesCommand)
@_MODEL
@_OUT
@click.option("--dictionary", type=Path, help="`source target` a line, or `target @ source`.")
@apply(*_BILINGUAL)
@click.option("--parallel", type=Path, help="Pairs of sentences: source, a tab, target.")
@click.option(
    "--words",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Source words to ask for.",
)
@click.option(
    "--occurrences",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Sentences with a word, at most; it is the mean over them.",
)
@click.option(
    "--sentences",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Pairs of sentences to ask for.",
)
def alignment(
    model: Path,
    out: Path,
    dictionary: Path | None,
    source_texts: tuple[str, ...],
    target_texts: tuple[str, ...],
    parallel: Path | None,
    words: int,
    occurrences: int,
    sentences: int,
) -> None:
    """Ask each layer for translations: of words, of sentences, or of both.

    A word is the mean of its occurrences in text of its language (Liu et al. 2020).
    """
    from bertsmith.jobs.analyses.alignment import analyze_alignment

    page = analyze_alignment(
        model,
        out,
        dictionary=dictionary,
        source_texts=source_texts,
        target_texts=target_texts,
        parallel=parallel,
        words=words,
        occurrences=occurrences,
        sentences=sentences,
    )
    click.echo(f"report  {page}")


@analyze.command(cls=ManyValuesCommand)
@_MODEL
@_OUT
@click.option(
    "--dictionary", type=Path, required=True, help="`source target` a line, or `target @ source`."
)
@apply(*_BILINGUAL)
@click.option(
    "--sentences",
    type=click.IntRange(min=4),
    default=200,
    show_default=True,
    help="To translate; half of them only choose the factors.",
)
def language(
    model: Path,
    out: Path,
    dictionary: Path,
    source_texts: tuple[str, ...],
    target_texts: tuple[str, ...],
    sentences: int,
) -> None:
    """Turn one language into another by a vector, added in each layer.

    Tokens of the source language are held against a dictionary (Liu et al. 2020). And the languages
    are told apart in each layer, by one token.
    """
    from bertsmith.jobs.analyses.language import analyze_language

    page = analyze_language(
        model,
        out,
        dictionary=dictionary,
        source_texts=source_texts,
        target_texts=target_texts,
        sentences=sentences,
    )
    click.echo(f"{(out / 'language.tsv').read_text('utf-8')}report  {page}")


@analyze.command(cls=ManyValuesCommand)
@_MODEL
@_OUT
@click.option("--text", "texts", multiple=True, help="A sentence whose maps are drawn.")
@click.option(
    "--sentences",
    type=Path,
    help="What heads are measured on: a .txt with a sentence a line, or a table of sentence.",
)
@click.option("--layers", default="all", show_default=True, help='Such as "1,6"; from 1.')
@click.option("--heads", default="all", show_default=True, help='Such as "3"; from 1.')
@click.option(
    "--pair", nargs=2, metavar="FROM TO", help="Two words of the texts: which heads follow them."
)
@click.option("--pairs", type=Path, help="A table of sentence, from, to and perhaps rival.")
@click.option("--pronouns", is_flag=True, help="Sixty English pronouns and what they stand for.")
def attention(
    model: Path,
    out: Path,
    texts: tuple[str, ...],
    sentences: Path | None,
    layers: str,
    heads: str,
    pair: tuple[str, str] | None,
    pairs: Path | None,
    pronouns: bool,
) -> None:
    """Show where attention heads look: maps of sentences, and what each head does on the whole.

    Without sentences: the two hundred of `similarity`, and the map of the first of them.
    """
    if sum(map(bool, (pair, pairs, pronouns))) > 1:
        raise click.UsageError("--pair, --pairs and --pronouns go one without the other")

    from bertsmith.jobs.analyses.attention import PRONOUNS, analyze_attention

    page = analyze_attention(
        model,
        out,
        texts=texts,
        sentences=sentences,
        layers=layers,
        heads=heads,
        pair=pair,
        pairs=PRONOUNS if pronouns else pairs,
    )
    click.echo(f"{(out / 'attention.tsv').read_text('utf-8')}report  {page}")


@analyze.command(cls=ManyValuesCommand)
@_MODEL
@_OUT
@click.option("--pos", nargs=2, type=Path, metavar="TRAIN TEST", help="Files of words and tags.")
@click.option("--ner", nargs=2, type=Path, metavar="TRAIN TEST", help="Files of tagged spans.")
@click.option(
    "--text",
    "texts",
    multiple=True,
    metavar="PATH...",
    help="Texts, for sentence length and word content.",
)
@click.option(
    "--tagger", type=Path, help="A tagger fine-tuned with --features mix, for its weights."
)
@click.option("--words", type=click.IntRange(min=100), default=10_000, show_default=True)
@click.option("--sentences", type=click.IntRange(min=100), default=3_000, show_default=True)
@click.option(
    "--draws", type=click.IntRange(min=1), default=3, show_default=True, help="Of control tasks."
)
def layers(
    model: Path,
    out: Path,
    pos: tuple[Path, Path] | None,
    ner: tuple[Path, Path] | None,
    texts: tuple[str, ...],
    tagger: Path | None,
    words: int,
    sentences: int,
    draws: int,
) -> None:
    """Probe what each layer knows: tags, entities, sentence length, word content.

    Probes learn from --words words or --sentences sentences, and are tried on half as many.
    """
    from bertsmith.jobs.analyses.layers import analyze_layers

    page = analyze_layers(
        model,
        out,
        pos=pos,
        ner=ner,
        texts=texts,
        tagger=tagger,
        words=words,
        sentences=sentences,
        draws=draws,
    )
    click.echo(f"{(out / 'layers.tsv').read_text('utf-8')}report  {page}")


@analyze.command()
@click.option("--run", type=Path, required=True, help="What finetune left, with --from-scratch.")
@_OUT
@click.option("--curves-only", is_flag=True, help="What the run has logged; no training again.")
@click.option(
    "--examples",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Training examples that the loss around a run is taken of.",
)
@click.option(
    "--grid", type=click.IntRange(min=2), default=11, show_default=True, help="A plane's points."
)
def curve(run: Path, out: Path, curves_only: bool, examples: int, grid: int) -> None:
    """Show what pre-training was worth to a fine-tuning, and the loss around its way.

    Curves of loss and score over the seeds, and the loss on lines and planes from the
    pre-trained start and from the random one (Hao et al. 2019), for which the first seed is
    trained twice again from each. Takes a task's folder of glue, too.
    """
    from bertsmith.jobs.analyses.curve import analyze_curve

    page = analyze_curve(run, out, surface=not curves_only, examples=examples, grid=grid)
    click.echo(f"{(out / 'curve.tsv').read_text('utf-8')}report  {page}")


@analyze.command()
@click.option("--run", type=Path, required=True, help="What pretrain left, with log.models.")
@_OUT
@click.option(
    "--sentences", type=Path, help="A table of word, sentence and sense, in place of English ones."
)
@click.option("--pos", nargs=2, type=Path, metavar="TRAIN TEST", help="Files of words and tags.")
@click.option("--pairs", type=Path, help="A table of two sentences and a rating.")
@click.option("--cola", type=Path, help="CoLA's folder, for the contrasting pairs in its files.")
def growth(
    run: Path,
    out: Path,
    sentences: Path | None,
    pos: tuple[Path, Path] | None,
    pairs: Path | None,
    cola: Path | None,
) -> None:
    """Show how a run came to know: its models on the way, all asked the same.

    The gap between a word's senses, heads that follow neighbours and pronouns; and where their data
    is given a probe for tags, likeness of sentences, grammar. Each model's page is in OUT/tokens-N.
    """
    import json

    from bertsmith.cli.tables import print_sections
    from bertsmith.jobs.analyses.growth import analyze_growth
    from bertsmith.report.growth import sections

    page = analyze_growth(run, out, sentences=sentences, pos=pos, pairs=pairs, cola=cola)
    print_sections(sections(json.loads((out / "growth.json").read_text("utf-8"))))
    click.echo(f"report  {page}")
