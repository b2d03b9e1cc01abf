"""errors.tsv of a tagger: the sentences it gets wrong, the surest mistakes first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bertsmith.tasks.mistakes import MOST, table_text
from bertsmith.tasks.schemes import Span
from bertsmith.tasks.tagged import TaggedSentence

COLUMNS = ("line", "probability", "missed", "wrong", "text")


def worst_mistakes(
    predictions: Sequence[TaggedSentence], spans: Callable[[Sequence[str]], tuple[Span, ...]]
) -> str:
    """A table of tab-separated columns: where the sentence is in its file, the probability of
    its surest wrong tag, the spans that are missed and those that are wrong."""
    rows: list[tuple[float, list[str]]] = []
    for prediction in predictions:
        sentence = prediction.sentence
        true, found = spans(sentence.tags), prediction.spans
        missed, wrong = set(true) - set(found), set(found) - set(true)
        if not missed and not wrong:
            continue
        places = [place for span in missed | wrong for place in range(span.begin, span.end)]
        surest = max(float(prediction.probabilities[place]) for place in places)
        cells = [str(sentence.line), f"{surest:.4f}"]
        cells += [_told(some, sentence.words) for some in (missed, wrong)]
        rows.append((surest, [*cells, sentence.text]))
    rows.sort(key=lambda row: -row[0])
    return table_text(COLUMNS, [cells for _, cells in rows[:MOST]])


def _told(spans: set[Span], words: Sequence[str]) -> str:
    """Each as TYPE: words."""
    return "; ".join(
        f"{span.label}: {' '.join(words[span.begin : span.end])}" for span in sorted(spans)
    )
