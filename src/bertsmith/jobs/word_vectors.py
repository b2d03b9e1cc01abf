"""Word vectors, out of a model's folder or a file of them, asked and scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bertsmith.analysis.word_vectors import (
    Correlation,
    Question,
    Score,
    analogies,
    correlation,
    neighbours,
)
from bertsmith.errors import DataError
from bertsmith.export.huggingface import load_tokenizer, load_word2vec, read_model, vectors_of
from bertsmith.export.vectors import read_vectors
from bertsmith.text.lines import file_lines
from bertsmith.types import WordVectors


def load_word_vectors(source: str | Path) -> WordVectors:
    """The vectors of a word2vec model's folder, or of a file in word2vec's text format.

    Raises ModelError for a folder, and DataError for a file, of another kind.
    """
    path = Path(source)
    if not path.is_dir():
        return read_vectors(path)
    folder = read_model(path)
    return vectors_of(load_word2vec(folder), load_tokenizer(folder))


def similar(source: str | Path, word: str, top: int = 10) -> list[tuple[str, float]]:
    """The words nearest to `word`, and their cosines to it, the nearest first."""
    return neighbours(load_word_vectors(source), word, top)


def score_analogies(
    source: str | Path, questions: Path, most_frequent: int = 30_000
) -> dict[str, Score]:
    """Scores by section of the file `questions`; see `analysis.word_vectors.analogies`."""
    sections = read_questions(questions)
    return analogies(load_word_vectors(source), sections, most_frequent)


def correlate(source: str | Path, files: Sequence[Path]) -> dict[Path, Correlation]:
    """How far the vectors go with people's ratings in each of `files`."""
    ratings = {path: read_pairs(path) for path in files}
    table = load_word_vectors(source)
    return {path: correlation(table, pairs) for path, pairs in ratings.items()}


def read_questions(path: Path) -> dict[str, list[Question]]:
    """Google's analogies: four words a line, in sections that begin with `: NAME`.

    Raises DataError, with file and line, for anything else.
    """
    sections: dict[str, list[Question]] = {}
    asked: list[Question] | None = None
    for number, line in _lines(path):
        match line.split():
            case [":", *name]:
                asked = sections.setdefault(" ".join(name), [])
            case [a, b, c, d] if asked is not None:
                asked.append((a, b, c, d))
            case _:
                raise DataError(
                    f"{line[:40]!r} is neither four words nor the beginning of a section",
                    where=f"{path}:{number}",
                    mend="give questions as in word2vec's questions-words.txt",
                )
    if not any(sections.values()):
        raise DataError("no question in this file", where=path, mend="give another one")
    return sections


def read_pairs(path: Path) -> list[tuple[str, str, float]]:
    """Two words and a rating a line, as in copies of WordSim-353 or SimLex-999.

    Raises DataError, with file and line, for anything else.
    """
    pairs = []
    for number, line in _lines(path):
        try:
            first, second, rating = line.split()
            pairs.append((first, second, float(rating)))
        except ValueError:
            raise DataError(
                f"{line[:40]!r} is not two words and a number",
                where=f"{path}:{number}",
                mend="write a pair and its rating a line, with tabs or spaces between",
            ) from None
    if not pairs:
        raise DataError("no pair in this file", where=path, mend="give another one")
    return pairs


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, and their numbers."""
    if not path.is_file():
        raise DataError("no such file", where=path, mend="give the path of a text file")
    yield from ((number, line) for number, line in file_lines(path) if line.strip())
