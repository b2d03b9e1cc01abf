"""The texts nearest to a query, by the vectors that `bertsmith embed` made: exact, by cosine."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bertsmith.errors import DataError
from bertsmith.jobs.embed import Embedder, EmbedOptions, texts_of, whitening_beside
from bertsmith.nn.sentence import Projection, normalised
from bertsmith.tasks.tables import Columns
from bertsmith.text.lines import file_sha256
from bertsmith.types import Float32Array, IntArray

SEARCH_ROWS = 65_536
"""Vectors compared with the queries at once."""


@dataclass(frozen=True)
class Hit:
    """A text found: the number of its row, from 1, and its cosine to the query."""

    cosine: float
    row: int
    text: str


def search(
    vectors: str | Path,
    queries: Sequence[str],
    top: int = 10,
    *,
    model: str | Path | None = None,
) -> list[list[Hit]]:
    """For each query, the `top` texts of greatest cosine, out of what `embed_file` wrote.

    Exact: every vector is compared. `model` stands in for the folder that made the vectors, where
    that has moved. Raises DataError where vectors, their .json or the texts' file are missing, or
    do not fit each other: a text may have changed since, or the model have been trained again.
    """
    path = Path(vectors)
    how = _read_how(path)
    options = EmbedOptions(**how["options"])
    if options.device == "cuda":  # where the vectors were made
        options = replace(options, device="auto")
    texts, _ = texts_of(how["file"], Columns(**how["columns"]))
    rows_ND = _read_vectors(path)
    if len(texts) != len(rows_ND):
        raise DataError(
            f"has {len(texts):,} texts, where {path} has {len(rows_ND):,} vectors",
            where=how["file"],
            mend="embed it again",
        )
    if how.get("file_sha256") not in (None, file_sha256(Path(how["file"]))):
        raise DataError("has changed since", where=how["file"], mend="embed it again")
    embedder = Embedder.load(model or how["model"], options)
    if how.get("model_sha256") not in (None, embedder.weights_sha256()):
        raise DataError(
            "has other weights than the model that made the vectors",
            where=model or how["model"],
            mend="give that one as --model, or embed the texts again",
        )
    if options.whiten:
        embedder = replace(
            embedder, projections=(*embedder.projections, _read_whitening(whitening_beside(path)))
        )
    asked_QD = normalised(embedder.embed(queries).vectors)
    if asked_QD.shape[1] != rows_ND.shape[1]:
        raise DataError(
            f"vectors of {rows_ND.shape[1]} numbers, where the model makes {asked_QD.shape[1]}",
            where=path,
            mend="give the --model that made them",
        )
    cosines, rows = _nearest(rows_ND, asked_QD, min(top, len(rows_ND)))
    return [
        [Hit(float(cosine), int(row) + 1, texts[row]) for cosine, row in zip(*found, strict=True)]
        for found in zip(cosines, rows, strict=True)
    ]


def _nearest(
    rows_ND: Float32Array, asked_QD: Float32Array, top: int
) -> tuple[Float32Array, IntArray]:
    """Cosines (Q, top), the greatest first, and whose they are; ties in the rows' order."""
    cosines = np.zeros((len(asked_QD), 0), np.float32)
    places = np.zeros((len(asked_QD), 0), np.int64)
    for begin in range(0, len(rows_ND), SEARCH_ROWS):
        part = normalised(np.asarray(rows_ND[begin : begin + SEARCH_ROWS]))
        here = np.tile(np.arange(begin, begin + len(part)), (len(asked_QD), 1))
        cosines = np.concatenate([cosines, asked_QD @ part.T], axis=1)
        places = np.concatenate([places, here], axis=1)
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :top]
        cosines = np.take_along_axis(cosines, best, axis=1)
        places = np.take_along_axis(places, best, axis=1)
    return cosines, places


def _read_how(path: Path) -> dict[str, Any]:
    """What `embed_file` wrote beside the vectors."""
    beside = path.with_suffix(".json")
    if not path.is_file():
        raise DataError("no such file", where=path, mend="make it with bertsmith embed")
    if path.suffix != ".npy":
        raise DataError("is no .npy", where=path, mend="give what bertsmith embed made of it")
    try:
        how: dict[str, Any] = json.loads(beside.read_text("utf-8"))
        EmbedOptions(**how["options"]), Columns(**how["columns"]), how["file"], how["model"]
    except FileNotFoundError:
        raise DataError("is missing", where=beside, mend="embed the texts again") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(
            "does not say how the vectors were made", where=beside, mend="embed the texts again"
        ) from None
    return how


def _read_vectors(path: Path) -> Float32Array:
    """(N, D), left on the disk until they are compared."""
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"is no .npy ({error})", where=path, mend="embed the texts again") from None
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise DataError("holds no vectors", where=path, mend="embed the texts again")
    return vectors  # type: ignore[no-any-return]


def _read_whitening(path: Path) -> Projection:
    try:
        with np.load(path, allow_pickle=False) as file:
            return Projection(file["weight"], file["bias"])
    except (FileNotFoundError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        raise DataError("is missing or broken", where=path, mend="embed the texts again") from None
