"""One word's vectors in many sentences, on a page: matrices, and how far senses are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from bertsmith.report.matrices import similarity_matrix
from bertsmith.report.page import FigureSection, Heading, Matrix, Section, Table, Text
from bertsmith.report.style import MUTED, SERIES, new_figure, styled

Data = Mapping[str, Any]
"""What `bertsmith analyze similarity` writes as similarity.json."""
MEANS = ("sentences", "mean cosine", "mean cosine, embeddings")
SENSES = ("senses", "within", "between", "gap", "silhouette", "p", "gap, embeddings")
MOST_CELLS = 64
"""Sentences of a matrix that answers to the pointer."""
COLUMNS = ("word", *MEANS, *SENSES)


def figure(data: Data) -> Figure:
    """How far the senses of each word are apart; of one word, or without senses, the matrix of the
    first."""
    words = data["words"]
    tested = [word for word in words if "separation" in word]
    if len(words) > 1 and tested:
        return gaps(tested)
    word = words[0]
    return similarity_matrix(word["matrix"], word["sentences"], title=word["word"])


def gaps(words: Sequence[Data]) -> Figure:
    """A line a word, the largest gap on top: by context, and in the embeddings."""
    ordered = sorted(words, key=lambda word: _gap(word["separation"]))
    with styled():
        drawn = new_figure(0.6 + 0.22 * len(ordered))
        axes = drawn.add_subplot()
        places = range(len(ordered))
        both = [(_gap(word["baseline"]), _gap(word["separation"])) for word in ordered]
        axes.hlines(places, *zip(*both, strict=True), color=MUTED, linewidth=0.8)
        for number, name in enumerate(("in the embeddings", "in context")):
            values = [pair[number] for pair in both]
            axes.plot(values, places, "o", color=SERIES[1 - number], markersize=5, label=name)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_yticks(places, [word["word"] for word in ordered])
        axes.set_xlabel("mean cosine within a sense, less that between senses")
        drawn.legend(frameon=False, loc="outside upper right", ncols=2)
    return drawn


def rows(data: Data) -> list[list[str | float]]:
    """A row for each word, of COLUMNS; the last ones are empty where no senses are given."""
    return [[word["word"], *_means(word), *_senses(word)] for word in data["words"]]


def _means(word: Data) -> list[str | float]:
    return [len(word["sentences"]), word["mean"], word["static_mean"]]


def _senses(word: Data) -> list[str | float]:
    if "separation" not in word:
        return [""] * len(SENSES)
    return [
        ", ".join(dict.fromkeys(word["senses"])),
        *(word["separation"][name] for name in ("within", "between")),
        _gap(word["separation"]),
        *(word["separation"][name] for name in ("silhouette", "p_value")),
        _gap(word["baseline"]),
    ]


def sections(data: Data) -> list[Section]:
    """The part of the page that is this instrument's."""
    parts: list[Section] = [Heading("One word in many sentences"), Text(_lead(data))]
    words = data["words"]
    measured = [word for word in words if "separation" in word]
    columns, values, asked = (SENSES, _senses, measured) if measured else (MEANS, _means, words)
    table = [[word["word"], *values(word)] for word in asked]
    what = f"cosines of {data['model']}, layers {data['layers']}"
    parts.append(Table(("word", *columns), table, what))
    if len(measured) > 1:
        parts.append(FigureSection(figure(data), "How far the senses are apart.", "gaps by word"))
        ordered = sorted(measured, key=lambda word: -_gap(word["separation"]))
        words = [ordered[0], ordered[-1]]
        parts.append(
            Text("The word whose senses are furthest apart, and the one where they are least.")
        )
    return [*parts, *map(_matrix, words)]


def _matrix(word: Data) -> Section:
    """To be pointed at; of many sentences an image, since a page of all cells would be too big."""
    caption = f"cosines of {word['word']!r}"
    if len(word["sentences"]) <= MOST_CELLS:
        return Matrix(word["matrix"], _labels(word), caption, word["word"])
    drawn = similarity_matrix(word["matrix"], _labels(word), title=word["word"])
    return FigureSection(drawn, f"{caption}; similarity.json has the numbers", "a heat map")


def _lead(data: Data) -> str:
    lead = (
        "Cosines between the vectors that one word has in different sentences, ordered so that "
        "like stands by like. The baseline is the embeddings' output, which knows the word and its "
        "place in the sentence, and nothing of what stands around it."
    )
    tested = [word for word in data["words"] if "separation" in word]
    if not tested:
        return lead
    apart = sum(word["separation"]["p_value"] < 0.05 for word in tested)
    return (
        f"{lead} p is the share of 10,000 random deals of the senses with a gap as large: below "
        f"0.05 for {apart} of {len(tested)} words, where chance alone would give about "
        f"{0.05 * len(tested):g}."
    )


def _labels(word: Data) -> list[str]:
    if "senses" not in word:
        return list(word["sentences"])
    pairs = zip(word["senses"], word["sentences"], strict=True)
    return [f"{sense}: {sentence}" for sense, sentence in pairs]


def _gap(separation: Data) -> float:
    return float(separation["within"] - separation["between"])
