"""The token corpus on disk: memory-mapped arrays and a manifest.

    corpus/
      manifest.json          what went in, what came out, checksums
      tokens.bin             (T,) uint16, or uint32 for a vocabulary above 65,536
      word_starts.bin        one bit a token, least significant first
      sentence_offsets.bin   (sentences + 1,) int64: where each begins, and T
      document_offsets.bin   (documents + 1,) int64
      unigram_counts.npy     (V,) int64
      tokenizer/

No special token is in it. `bertsmith.text.corpus_building` makes one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bertsmith.errors import CorpusError
from bertsmith.text.manifest import (
    MANIFEST,
    NPY_HEADER_BYTES,
    UNIGRAMS,
    Manifest,
    damaged,
    read_manifest,
)
from bertsmith.text.shards import (
    DOCUMENTS,
    PROGRESS,
    SENTENCES,
    TOKENS,
    CorpusArrays,
)
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import BoolArray, IntArray

TOKENIZER = "tokenizer"


class Corpus:
    """A finished corpus folder; every array is mapped, none is read whole."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use `Corpus.open`."""
        self.folder, self.manifest, self.shards = folder, manifest, manifest.shards
        self.num_tokens = manifest.tokens
        self.num_sentences = manifest.sentences
        self.num_documents = manifest.documents
        self.num_words = manifest.words
        self.fingerprint = manifest.fingerprint
        self.tokenizer_fingerprint = manifest.tokenizer
        self.vocab_size = manifest.vocab_size
        self._arrays = CorpusArrays(folder, manifest.dtype)
        self.tokens = self._arrays.tokens
        self.sentence_offsets: IntArray = self._arrays.sentences
        self.document_offsets: IntArray = self._arrays.documents

    @classmethod
    def open(cls, folder: str | Path) -> Corpus:
        """Open `folder`; CorpusError where it is no whole corpus, by its manifest and sizes."""
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            if (folder / PROGRESS).is_file():
                raise CorpusError(
                    "not finished", where=folder, mend="run the same `corpus build` again to go on"
                )
            raise CorpusError(
                "no corpus here", where=folder, mend="make one with `bertsmith corpus build`"
            )
        return cls(folder, read_manifest(folder))

    def verify(self) -> None:
        """Read everything and compare checksums; CorpusError at the first that differs."""
        for index in range(len(self.shards)):
            if not self._arrays.shard_is_whole(self.shards, index):
                raise CorpusError(
                    f"shard {index} is damaged (its checksum differs)",
                    where=self.folder,
                    mend="build the corpus again, in a new folder",
                )
        for name, offsets in (
            (SENTENCES, self.sentence_offsets),
            (DOCUMENTS, self.document_offsets),
        ):
            if offsets[-1] != self.num_tokens:  # which no shard has
                raise damaged(self.folder / name)
        self.unigram_counts()

    def read(self, begin: int, end: int) -> IntArray:
        """(end - begin,) the ids of the tokens from `begin` to `end`.

        Raises CorpusError for an id that the vocabulary has not: the disk has damaged it.
        """
        ids: IntArray = self.tokens[begin:end].astype(np.int64)
        if begin < end and ids.max() >= self.vocab_size:
            raise CorpusError(
                f"token {begin + int(ids.argmax()):,} has the id {ids.max():,}, of a vocabulary of "
                f"{self.vocab_size:,}",
                where=self.folder / TOKENS,
                mend="build the corpus again, in a new folder",
            )
        return ids

    def word_starts(self, begin: int, end: int) -> BoolArray:
        """(end - begin,) whether each token begins a word."""
        return self._arrays.word_starts(begin, end)

    def unigram_counts(self) -> IntArray:
        """(V,) how often each id occurs. Raises CorpusError where that cannot be."""
        path = self.folder / UNIGRAMS
        counts = np.fromfile(path, np.int64, offset=NPY_HEADER_BYTES)
        if counts.min() < 0 or counts.sum() != self.num_tokens:
            raise damaged(path)
        return counts

    @property
    def unigram_entropy(self) -> float:
        """In nats a token: the loss of a model that knows the frequencies and no context."""
        counts = self.unigram_counts()
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made this corpus; CorpusError where another lies in its place."""
        tokenizer = Tokenizer.load(self.folder / TOKENIZER)
        self.check_tokenizer(tokenizer)
        return tokenizer

    def check_tokenizer(self, tokenizer: Tokenizer) -> None:
        """CorpusError where `tokenizer` is not the one that made this corpus."""
        if tokenizer.fingerprint != self.tokenizer_fingerprint:
            raise CorpusError(
                f"made by another tokenizer ({self.tokenizer_fingerprint[:12]}) than this one "
                f"({tokenizer.fingerprint[:12]})",
                where=self.folder,
                mend="use the one that made it, or build the corpus anew",
            )
