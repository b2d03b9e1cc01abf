"""manifest.json: what a corpus folder says of itself, held against the files that are there.

A folder may come from anywhere. Whatever decides how much will be mapped or allocated is
checked before anything is: types, ranges, the size of every file, and that each is a plain
file of this folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, NonNegativeInt

from bertsmith.config import MAX_VOCABULARY
from bertsmith.errors import ConfigError, CorpusError
from bertsmith.files import require_plain_file
from bertsmith.schema import Config, validate
from bertsmith.text.chunks import token_dtype
from bertsmith.text.shards import DOCUMENTS, SENTENCES, TOKENS, WORD_STARTS, Shard, total

FORMAT = 1
MANIFEST = "manifest.json"
UNIGRAMS = "unigram_counts.npy"
NPY_HEADER_BYTES = 128
COUNTS = (
    "documents",
    "sentences",
    "words",
    "tokens",
    "characters",
    "input_documents",
    "duplicate_documents",
    "empty_documents",
    "repeated_lines",
    "control_characters",
)
"""What is summed over the shards."""
_MAX_BYTES = 256 << 20
"""A shard takes some 500 bytes here and stands for 32 million characters."""
_MEND = "build the corpus again, in a new folder"


class Manifest(Config):
    """manifest.json."""

    format: Literal[1] = 1
    fingerprint: str
    tokenizer: str
    """Its fingerprint."""
    vocab_size: int = Field(ge=1, le=MAX_VOCABULARY)
    dtype: Literal["uint16", "uint32"]
    plan: dict[str, Any]
    inputs: list[dict[str, Any]]
    documents: NonNegativeInt
    sentences: NonNegativeInt
    words: NonNegativeInt
    tokens: NonNegativeInt
    characters: NonNegativeInt
    input_documents: NonNegativeInt
    duplicate_documents: NonNegativeInt
    empty_documents: NonNegativeInt
    repeated_lines: NonNegativeInt
    control_characters: NonNegativeInt
    sizes: dict[str, NonNegativeInt]
    """Bytes of each file."""
    shards: list[Shard]

    def to_json(self) -> str:
        """The text of manifest.json."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a whole corpus. Raises CorpusError where it, or a file, is not as it says."""
    path = folder / MANIFEST
    require_plain_file(path, _MAX_BYTES, CorpusError)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise damaged(path) from None
    if isinstance(content, dict) and content.get("format", FORMAT) != FORMAT:
        raise CorpusError(
            f"format {content['format']}, where this program reads {FORMAT}",
            where=path,
            mend=_MEND,
        )
    try:
        manifest = validate(Manifest, content, path)
    except ConfigError as error:
        raise damaged(path, error.what) from None
    sizes = file_sizes(manifest.shards, manifest.vocab_size)
    sums = {name: total(manifest.shards, name) for name in COUNTS}
    agrees = (
        manifest.fingerprint == fingerprint(manifest.shards)
        and manifest.dtype == np.dtype(token_dtype(manifest.vocab_size)).name
        and manifest.sizes == sizes
        and manifest.model_dump(include=set(COUNTS)) == sums
        and manifest.tokens > 0
    )
    if not agrees:
        raise damaged(path, "its numbers do not agree")
    for name, size in sizes.items():
        if not (folder / name).is_file() or (folder / name).stat().st_size != size:
            raise CorpusError("missing or cut", where=folder / name, mend=_MEND)
        require_plain_file(folder / name, size, CorpusError)
    return manifest


def fingerprint(shards: Sequence[Shard]) -> str:
    """SHA-256 of the shards' own checksums, in hexadecimal."""
    return hashlib.sha256("".join(shard.sha256 for shard in shards).encode()).hexdigest()


def file_sizes(shards: Sequence[Shard], vocab_size: int) -> dict[str, int]:
    """Bytes of each file of a finished corpus."""
    tokens = total(shards, "tokens")
    return {
        TOKENS: tokens * np.dtype(token_dtype(vocab_size)).itemsize,
        WORD_STARTS: (tokens + 7) // 8,
        SENTENCES: 8 * (total(shards, "sentences") + 1),
        DOCUMENTS: 8 * (total(shards, "documents") + 1),
        UNIGRAMS: 8 * vocab_size + NPY_HEADER_BYTES,
    }


def damaged(path: Path, how: str = "") -> CorpusError:
    """The error of a file of a corpus that is not what it was; `how` says more."""
    return CorpusError(f"damaged: {how[:300]}" if how else "damaged", where=path, mend=_MEND)
