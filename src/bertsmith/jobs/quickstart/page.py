"""The quickstart's report: what was made, and whether it was worth it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bertsmith.analysis.similarity import Similarity
from bertsmith.jobs.quickstart.proof import INITS, Fit, scores_of
from bertsmith.jobs.quickstart.texts import Question
from bertsmith.report.figures import learning_curves
from bertsmith.report.log import read_run
from bertsmith.report.matrices import confusion_matrix
from bertsmith.report.page import (
    FigureSection,
    Heading,
    Matrix,
    Section,
    Table,
    Text,
    write_report,
)
from bertsmith.report.run import read_config, run_sections

NAMES = dict(zip(INITS, ("pre-trained", "from scratch"), strict=True))


def write_page(
    path: Path,
    run_folder: Path,
    question: Question,
    fits: Sequence[Fit],
    words: Similarity | None,
) -> Path:
    """Write the page at `path` from the run's log, the fine-tunings and the word's matrix."""
    log = read_run(run_folder / "log.jsonl")
    sections = [
        *_proof(question, fits),
        *_word(words),
        *run_sections(log, read_config(run_folder / "config.toml")),
    ]
    return write_report(path, "Your own BERT", _summary(question, fits), sections)


def _summary(question: Question, fits: Sequence[Fit]) -> str:
    before, after = (scores_of(fits, init) for init in reversed(INITS))
    few = min(after)
    return (
        f"{question.text} With {few} labels the pre-trained network reaches a macro-F1 of "
        f"{median(after[few]):.2f}, and the same network from scratch {median(before[few]):.2f}."
    )


def _proof(question: Question, fits: Sequence[Fit]) -> list[Section]:
    scores = {init: scores_of(fits, init) for init in INITS}
    counts = sorted(scores[INITS[0]])
    seeds = len(next(iter(scores[INITS[0]].values())))
    figure = learning_curves(
        counts, {NAMES[i]: [scores[i][count] for count in counts] for i in INITS}, "macro-F1"
    )
    most = [fit for fit in fits if fit.count == counts[-1] and fit.init == INITS[0]]
    matrix = most[0].scores["confusion_matrix"]
    rows = [(count, *(median(scores[init][count]) for init in INITS)) for count in counts]
    return [
        Heading("Was pre-training worth it?"),
        Text(
            f"{question.text} {question.mask_note} Tested on {len(question.test):,} texts that "
            "neither pre-training nor fine-tuning has seen."
        ),
        Table(
            ("labels", *NAMES.values()),
            rows,
            f"Macro-F1, median of {seeds} seeds.",
        ),
        FigureSection(
            figure,
            "Macro-F1 against the number of labels. Points are seeds, lines their medians.",
            "Learning curves of the pre-trained network and of the same network from scratch",
        ),
        FigureSection(
            confusion_matrix(matrix, question.labels),
            f"What the pre-trained network answers after {counts[-1]:,} labels, seed 0.",
            "Confusion matrix, rows are the truth",
        ),
    ]


def _word(words: Similarity | None) -> list[Section]:
    if words is None:
        return []
    return [
        Heading(f"One word, {len(words.sentences)} contexts: {words.word}"),
        Text(
            "The encoder gives a word another vector in every sentence. The cosine between two "
            "of them says how alike it takes the two uses to be; like ones stand together."
        ),
        Matrix(
            words.matrix.tolist(),
            words.sentences,
            f"Cosine between the vectors of “{words.word}” in the last layer.",
            word=words.word,
        ),
    ]
