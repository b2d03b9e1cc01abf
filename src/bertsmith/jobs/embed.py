"""Sentence vectors of texts, or of a file.

OUT.npy              (N, D) float32, a row a text
OUT.json             how they were made, so that a query is asked in the same way
OUT.whitening.npz    weight (E, D) and bias (E,), where they were whitened
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bertsmith.analysis.sentences import SentenceVectors, sentence_vectors, whitening
from bertsmith.engine.memory import keep_freed_memory
from bertsmith.engine.precision import choose_hardware
from bertsmith.errors import ConfigError, DataError
from bertsmith.export.sentences import (
    SentenceFolder,
    read_sentence_folder,
    require_savable,
    save_sentence_encoder,
)
from bertsmith.export.weights import WEIGHTS
from bertsmith.files import require_place, write_atomically, write_text_atomically
from bertsmith.jobs.progress import Bar
from bertsmith.nn.packed import pack_linears
from bertsmith.nn.sentence import Pooling, Projection, SentenceEncoder, normalised
from bertsmith.tasks.tables import Columns, open_table, require_pairs
from bertsmith.text.lines import file_sha256
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import Float32Array

_LARGEST_INDEX = 1 << 20
"""Bytes of a .json that says how vectors were made."""


@dataclass(frozen=True)
class EmbedOptions:
    """What a vector is made of; None: as the model folder says."""

    pooling: str | None = None
    """ "cls", "mean" or "max" ..."""
    layers: str = "last"
    """... of the mean of these layers: "last", "first-last" (1 and L), or such as "0,3,6"."""
    normalise: bool | None = None
    """To length one, so that a product is a cosine."""
    whiten: bool = False
    """By the texts that are embedded themselves."""
    dimensions: int | None = None
    """To keep when whitening; None: all."""
    max_length: int | None = None
    """Tokens of a text; the rest is cut, and counted."""
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class Embedder:
    """A model that makes sentence vectors, ready to be asked."""

    folder: SentenceFolder
    network: SentenceEncoder
    tokenizer: Tokenizer
    projections: tuple[Projection, ...]
    normalise: bool
    max_length: int

    @classmethod
    def load(cls, model: str | Path, options: EmbedOptions) -> Embedder:
        """From a folder of sentence-transformers, or any other model folder, without whitening.

        Raises ModelError for the folder, ConfigError for what `options` ask of it.
        """
        folder = read_sentence_folder(model)
        config = folder.source.config
        kind = options.pooling or folder.pooling.kind
        pooling = Pooling.parse(kind, options.layers, config.num_layers)
        max_length = options.max_length or folder.max_length
        if max_length > config.max_position_embeddings:
            raise ConfigError(
                f"{max_length} tokens, where the model reads {config.max_position_embeddings}",
                where="max_length",
                mend="take fewer",
            )
        hardware = choose_hardware(options.device, options.precision)
        network, tokenizer = folder.load(pooling)
        normalise = folder.normalise if options.normalise is None else options.normalise
        pack_linears(network.to(hardware.device, hardware.dtype))
        return cls(folder, network, tokenizer, folder.projections, normalise, max_length)

    def save(self, folder: str | Path) -> None:
        """Write all of it as sentence-transformers read it, the weights as they were loaded.

        Raises ModelError as `save_sentence_encoder` does.
        """
        network, tokenizer = self.folder.load(self.network.pooling)
        save_sentence_encoder(
            folder,
            network,
            tokenizer,
            max_length=self.max_length,
            projections=self.projections,
            normalise=self.normalise,
        )

    def weights_sha256(self) -> str:
        """Which model this is, wherever its folder."""
        return file_sha256(self.folder.source.path / WEIGHTS)

    def embed(self, texts: Iterable[str], bar: Bar | None = None) -> SentenceVectors:
        """A vector for each of `texts`."""
        found = self._unfinished(texts, bar)
        return replace(found, vectors=self._finish(found.vectors, self.projections))

    def embed_whitened(
        self, texts: Iterable[str], dimensions: int | None, bar: Bar | None = None
    ) -> tuple[SentenceVectors, Embedder]:
        """Vectors whitened by one another, and the embedder that makes such of other texts."""
        found = self._unfinished(texts, bar)
        plain = replace(self, normalise=False)._finish(found.vectors, self.projections)
        fitted = whitening(plain, dimensions)
        whole = replace(self, projections=(*self.projections, fitted))
        return replace(found, vectors=self._finish(plain, [fitted])), whole

    def _unfinished(self, texts: Iterable[str], bar: Bar | None) -> SentenceVectors:
        keep_freed_memory()

        def say(done: int) -> None:
            if bar is not None:
                bar.update(done, f"{done:,} texts")

        return sentence_vectors(self.network, self.tokenizer, texts, self.max_length, say)

    def _finish(self, vectors: Float32Array, projections: Iterable[Projection]) -> Float32Array:
        for projection in projections:
            vectors = projection(vectors)
        return normalised(vectors) if self.normalise else vectors


def embed(
    model: str | Path, texts: Iterable[str], options: EmbedOptions | None = None
) -> SentenceVectors:
    """A vector for each of `texts`, (N, D) float32, and how many were too long to be read whole.

    `model` is a folder of sentence-transformers, whose pooling is taken where `options` name no
    other, or any other model folder, of which the mean of the last layer is taken. Raises
    ModelError, ConfigError, and DataError where there are too few texts to whiten.
    """
    options = options or EmbedOptions()
    embedder = Embedder.load(model, options)
    if options.whiten:
        return embedder.embed_whitened(texts, options.dimensions)[0]
    return embedder.embed(texts)


def embed_file(
    model: str | Path,
    file: str | Path,
    out: str | Path,
    options: EmbedOptions | None = None,
    *,
    columns: Columns | None = None,
    save: str | Path | None = None,
) -> SentenceVectors:
    """`embed` of the texts of a .txt (one a line), .csv, .tsv or .jsonl, into `out`, a .npy.

    `save` is a folder for the whole of it, whitening included, as sentence-transformers read it.
    Raises DataError for a file without texts, and, before anything is computed, ModelError where
    `save` cannot be written, and ConfigError where `out` cannot, or would replace a .json of
    something else.
    """
    options, out = options or EmbedOptions(), Path(out)
    _require_npy(out)
    texts, columns = texts_of(file, columns)
    checksum = file_sha256(Path(file))
    embedder = Embedder.load(model, options)
    if save is not None:
        require_savable(Path(save), embedder.network)
    with Bar("embedding", len(texts)) as bar:
        if options.whiten:
            found, embedder = embedder.embed_whitened(texts, options.dimensions, bar)
        else:
            found = embedder.embed(texts, bar)
    if save is not None:
        embedder.save(save)
    how = {
        "model": str(Path(model).resolve()),
        "model_sha256": embedder.weights_sha256(),
        "file": str(Path(file).resolve()),
        "file_sha256": checksum,
        "columns": asdict(columns),
        "options": asdict(options),
        "texts": len(texts),
        "truncated": found.truncated,
    }
    _write_index(out, found.vectors, how, embedder.projections[-1] if options.whiten else None)
    return found


def texts_of(file: str | Path, columns: Columns | None) -> tuple[list[str], Columns]:
    """The texts of a table, and the columns they are from. Raises DataError."""
    table = open_table(Path(file), columns, labelled=False)
    require_pairs(table.columns, expected=False, name=table.name, learnt_from="a vector")
    texts = [row.text for row in table.rows]
    if not texts:
        raise DataError("no texts", where=file, mend="give texts to embed")
    return texts, table.columns


def _require_npy(out: Path) -> None:
    if out.suffix != ".npy":
        raise ConfigError(f"{out} is no .npy", where="out", mend=f"write {out.with_suffix('.npy')}")
    if not out.parent.is_dir():
        raise ConfigError(f"there is no folder {out.parent}", where="out", mend="make it first")
    require_place(out, ConfigError)
    beside = out.with_suffix(".json")
    if beside.exists() and not _is_index(beside):
        raise ConfigError(
            f"{beside} is of something else, and would be replaced",
            where="out",
            mend="name another .npy",
        )


def _is_index(path: Path) -> bool:
    """Whether `path` says how vectors were made."""
    if not path.is_file() or path.stat().st_size > _LARGEST_INDEX:
        return False
    try:
        how = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(how, dict) and {"model", "file", "columns", "options"} <= how.keys()


def whitening_beside(path: Path) -> Path:
    """Where the whitening of the vectors in `path` is."""
    return path.with_suffix(".whitening.npz")


def _write_index(
    out: Path, vectors: Float32Array, how: dict[str, Any], fitted: Projection | None
) -> None:
    out.with_suffix(".json").unlink(missing_ok=True)  # of older vectors; the new one is last
    stream = io.BytesIO()
    np.save(stream, vectors, allow_pickle=False)
    write_atomically(out, stream.getvalue())
    if fitted is not None:
        stream = io.BytesIO()
        np.savez(stream, weight=fitted.weight, bias=fitted.bias)
        write_atomically(whitening_beside(out), stream.getvalue())
    text = json.dumps(how, indent=1, ensure_ascii=False) + "\n"
    write_text_atomically(out.with_suffix(".json"), text)
