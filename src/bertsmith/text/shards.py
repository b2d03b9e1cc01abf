"""Writing a corpus folder piece by piece, so that a killed build goes on where it was.

The arrays of a corpus are single files that only ever grow. A shard is what is added to them
at once: some 32 million characters of text. After its bytes are safe on disk, `progress.json`
is replaced and counts it in. Whatever lies in the files beyond the counted shards is the rest
of an interrupted write, and is cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeInt, TypeAdapter

from bertsmith.errors import CorpusError
from bertsmith.files import errors_naming, require_plain_file, write_text_atomically
from bertsmith.text.chunks import EncodedChunk, TokenArray
from bertsmith.text.duplicates import GROWN, HashArray, HashSet
from bertsmith.types import BoolArray, IntArray

TOKENS = "tokens.bin"
WORD_STARTS = "word_starts.bin"
SENTENCES = "sentence_offsets.bin"
DOCUMENTS = "document_offsets.bin"
ARRAYS = (TOKENS, WORD_STARTS, SENTENCES, DOCUMENTS)
HASHES = "document_hashes.bin"
HASH_TABLE = "document_hashes.table"
PROGRESS = "progress.json"
SCAFFOLDING = (PROGRESS, HASHES, HASH_TABLE, str(Path(HASH_TABLE).with_suffix(GROWN)))
"""What a finished corpus has no more."""


@dataclass(frozen=True, slots=True)
class Shard:
    """What one write added, and what it was made of."""

    tokens: NonNegativeInt
    words: NonNegativeInt
    sentences: NonNegativeInt
    documents: NonNegativeInt
    hashes: NonNegativeInt  # different documents, those without a token among them
    characters: NonNegativeInt
    input_documents: NonNegativeInt
    input_digest: str  # of the hashes of the documents read, in their order
    duplicate_documents: NonNegativeInt
    empty_documents: NonNegativeInt
    repeated_lines: NonNegativeInt
    control_characters: NonNegativeInt
    sha256: str  # of what was written, see shard_digest


def shard_digest(
    tokens: npt.NDArray[Any], word_starts: BoolArray, sentences: IntArray, documents: IntArray
) -> str:
    """SHA-256 of a shard's share of the four arrays, in hexadecimal."""
    digest = hashlib.sha256()
    for array in (tokens, np.packbits(word_starts, bitorder="little"), sentences, documents):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def total(shards: Sequence[Shard], name: str) -> int:
    """The sum of one count over `shards`."""
    return sum(getattr(shard, name) for shard in shards)


@dataclass
class PendingShard:
    """Encoded chunks that wait to be written together."""

    tokens: list[TokenArray] = field(default_factory=list)
    word_starts: list[BoolArray] = field(default_factory=list)
    sentence_lengths: list[IntArray] = field(default_factory=list)
    document_sentences: list[IntArray] = field(default_factory=list)
    new_hashes: list[HashArray] = field(default_factory=list)
    input_digest: Any = field(default_factory=hashlib.sha256)
    characters: int = 0
    input_documents: int = 0
    duplicate_documents: int = 0
    empty_documents: int = 0
    repeated_lines: int = 0
    control_characters: int = 0

    def add(self, chunk: EncodedChunk, seen: HashSet) -> None:
        """Take `chunk` in, without the documents that are in `seen` already."""
        self.input_digest.update(chunk.hashes.data)
        self.input_documents += len(chunk.hashes)
        self.characters += chunk.characters
        new = seen.add(chunk.hashes)
        self.duplicate_documents += int((~new).sum())
        self.new_hashes.append(chunk.hashes[new])
        self.repeated_lines += int(chunk.repeated_lines[new].sum())
        self.control_characters += int(chunk.control_characters[new].sum())
        keep = new & (chunk.document_sentences > 0)
        self.empty_documents += int((new & ~keep).sum())
        keep_sentence = np.repeat(keep, chunk.document_sentences)
        if keep_sentence.all():
            tokens, starts = chunk.tokens, chunk.word_starts
        else:
            keep_token = np.repeat(keep_sentence, chunk.sentence_lengths)
            tokens, starts = chunk.tokens[keep_token], chunk.word_starts[keep_token]
        self.tokens.append(tokens)
        self.word_starts.append(starts)
        self.sentence_lengths.append(chunk.sentence_lengths[keep_sentence])
        self.document_sentences.append(chunk.document_sentences[keep])


class ShardWriter:
    """The growing arrays of one corpus folder.

    `plan` says what the corpus is made of; a folder with another plan is refused.
    """

    def __init__(self, folder: Path, plan: dict[str, Any], dtype: npt.DTypeLike) -> None:
        self.folder, self.plan = folder, plan
        self._dtype = np.dtype(dtype)
        self.shards: list[Shard] = []
        if (folder / PROGRESS).is_file():
            self.shards = self._finished_shards()
        else:
            self._note_progress([])
        for name, size in self._sizes().items():
            path = folder / name
            path.touch()
            require_plain_file(path, sys.maxsize, CorpusError)
            if path.stat().st_size < size:
                raise _damaged(path)
            os.truncate(path, size)
        self._check_last_shard()

    def _finished_shards(self) -> list[Shard]:
        path = self.folder / PROGRESS
        try:
            progress = json.loads(path.read_text(encoding="utf-8"))
            plan = progress["plan"]
            shards = TypeAdapter(list[Shard]).validate_python(progress["shards"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _damaged(path) from None
        if plan != self.plan:
            raise CorpusError(
                f"this unfinished corpus was begun with {_difference(plan, self.plan)}",
                where=self.folder,
                mend="give the same as then, or another --out, or remove the folder",
            )
        return shards

    def _sizes(self) -> dict[str, int]:
        tokens = total(self.shards, "tokens")
        return {
            TOKENS: tokens * self._dtype.itemsize,
            WORD_STARTS: (tokens + 7) // 8,
            SENTENCES: total(self.shards, "sentences") * 8,
            DOCUMENTS: total(self.shards, "documents") * 8,
            HASHES: total(self.shards, "hashes") * 16,
        }

    def _check_last_shard(self) -> None:
        """Each shard was checked when it was the last; power may have failed after that."""
        if not self.shards:
            return
        arrays = CorpusArrays(self.folder, self._dtype)
        if not arrays.shard_is_whole(self.shards, len(self.shards) - 1):
            raise _damaged(self.folder / TOKENS)

    def seen_hashes(self) -> HashSet:
        """The hashes of all documents in the finished shards."""
        seen = HashSet(self.folder / HASH_TABLE)
        with (self.folder / HASHES).open("rb") as file:
            while block := file.read(2**20):
                seen.add(np.frombuffer(block, dtype=np.uint64).reshape(-1, 2))
        return seen

    def write(self, pending: PendingShard) -> None:
        """Add a shard. On an error the files are as they were before."""
        first_token = total(self.shards, "tokens")
        tokens = np.concatenate(pending.tokens)
        pending.tokens.clear()
        word_starts = np.concatenate(pending.word_starts)
        lengths = np.concatenate(pending.sentence_lengths)
        sentences = first_token + np.cumsum(lengths) - lengths
        counts = np.concatenate(pending.document_sentences)
        documents = sentences[np.cumsum(counts) - counts]
        hashes = np.concatenate(pending.new_hashes)
        shard = Shard(
            tokens=len(tokens),
            words=int(word_starts.sum()),
            sentences=len(sentences),
            documents=len(documents),
            hashes=len(hashes),
            characters=pending.characters,
            input_documents=pending.input_documents,
            input_digest=pending.input_digest.hexdigest(),
            duplicate_documents=pending.duplicate_documents,
            empty_documents=pending.empty_documents,
            repeated_lines=pending.repeated_lines,
            control_characters=pending.control_characters,
            sha256=shard_digest(tokens, word_starts, sentences, documents),
        )
        sizes = self._sizes()
        try:
            _append(self.folder / TOKENS, sizes[TOKENS], tokens)
            self._append_bits(first_token, word_starts)
            _append(self.folder / SENTENCES, sizes[SENTENCES], sentences)
            _append(self.folder / DOCUMENTS, sizes[DOCUMENTS], documents)
            _append(self.folder / HASHES, sizes[HASHES], hashes)
            self._note_progress([*self.shards, shard])
        except OSError:
            for name, size in sizes.items():
                os.truncate(self.folder / name, size)
            raise
        self.shards.append(shard)

    def _note_progress(self, shards: Sequence[Shard]) -> None:
        progress = {"plan": self.plan, "shards": [asdict(shard) for shard in shards]}
        write_text_atomically(self.folder / PROGRESS, json.dumps(progress, indent=1) + "\n")

    def _append_bits(self, first: int, bits: BoolArray) -> None:
        """Add `bits` from bit `first` on; the file's last byte may be partly filled."""
        path = self.folder / WORD_STARTS
        byte, inside = divmod(first, 8)
        if inside:
            with path.open("rb") as file:
                file.seek(byte)
                last = np.frombuffer(file.read(1), dtype=np.uint8)
            held = np.unpackbits(last, bitorder="little")[:inside].astype(np.bool_)
            bits = np.concatenate([held, bits])
        _append(path, byte, np.packbits(bits, bitorder="little"))

    def close_offsets(self) -> None:
        """Add the end of the last sentence and document."""
        end = np.array([total(self.shards, "tokens")], dtype=np.int64)
        sizes = self._sizes()
        _append(self.folder / SENTENCES, sizes[SENTENCES], end)
        _append(self.folder / DOCUMENTS, sizes[DOCUMENTS], end)


class CorpusArrays:
    """The four arrays of a corpus folder, mapped into memory."""

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        self.tokens = _mapped(folder / TOKENS, dtype)
        self.sentences = _mapped(folder / SENTENCES, np.int64)
        self.documents = _mapped(folder / DOCUMENTS, np.int64)
        self._bits = _mapped(folder / WORD_STARTS, np.uint8)

    def word_starts(self, begin: int, end: int) -> BoolArray:
        """(end - begin,) bool."""
        bits = np.unpackbits(self._bits[begin // 8 : (end + 7) // 8], bitorder="little")
        return bits[begin % 8 : begin % 8 + end - begin].view(np.bool_)

    def shard_is_whole(self, shards: Sequence[Shard], index: int) -> bool:
        """Whether the bytes of shard `index` are those that were written."""
        before, shard = shards[:index], shards[index]
        token, sentence, document = (
            total(before, name) for name in ("tokens", "sentences", "documents")
        )
        return shard.sha256 == shard_digest(
            self.tokens[token : token + shard.tokens],
            self.word_starts(token, token + shard.tokens),
            self.sentences[sentence : sentence + shard.sentences],
            self.documents[document : document + shard.documents],
        )


def _mapped(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    if path.stat().st_size == 0:
        return np.zeros(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")


def _append(path: Path, at: int, array: npt.NDArray[Any]) -> None:
    with errors_naming(path), path.open("r+b") as file:
        file.seek(at)
        file.write(np.ascontiguousarray(array).data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _damaged(path: Path) -> CorpusError:
    return CorpusError("damaged", where=path, mend="remove the folder and build it again")


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return "another " + " and another ".join(names or ["plan"])
