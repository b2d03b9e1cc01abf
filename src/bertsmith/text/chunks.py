"""One task of corpus building: a chunk of documents in, token arrays out.

`encode_chunk` is a pure function of its arguments, so any `concurrent.futures` executor may
run it, on this machine or on others that see the tokenizer's folder.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertsmith.errors import CorpusError
from bertsmith.text.clean import Removed, clean_document
from bertsmith.text.duplicates import HashArray, hash_texts
from bertsmith.text.encoding import CachedEncoder, EncodedSentences
from bertsmith.text.segmenter import load_segmenter
from bertsmith.text.sources import Document
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.types import BoolArray, IntArray

CHUNK_CHARS = 2**20

TokenArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass
class Chunk:
    """Some documents: their texts, and whether each holds a sentence a line."""

    texts: list[str] = field(default_factory=list)
    line_is_sentence: list[bool] = field(default_factory=list)
    characters: int = 0

    def add(self, document: Document) -> None:
        """Take `document` in."""
        self.texts.append(document.text)
        self.line_is_sentence.append(document.line_is_sentence)
        self.characters += len(document.text)

    def hashes(self) -> HashArray:
        """(documents, 2) of the raw texts."""
        return hash_texts(self.texts)


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """Documents as tokens, end to end."""

    tokens: TokenArray  # (T,)
    word_starts: BoolArray  # (T,)
    sentence_lengths: IntArray  # (sentences,) tokens, none is 0
    document_sentences: IntArray  # (documents,) sentences of each, possibly 0
    hashes: HashArray  # (documents, 2)
    repeated_lines: IntArray  # (documents,) removed
    control_characters: IntArray  # (documents,) removed
    characters: int


def token_dtype(vocab_size: int) -> type[np.uint16] | type[np.uint32]:
    """The smallest type that holds every id."""
    return np.uint16 if vocab_size <= 2**16 else np.uint32


def chunks_of(documents: Iterable[Document], chunk_chars: int = CHUNK_CHARS) -> Iterator[Chunk]:
    """Whole documents, until a chunk has `chunk_chars` characters."""
    chunk = Chunk()
    for document in documents:
        chunk.add(document)
        if chunk.characters >= chunk_chars:
            yield chunk
            chunk = Chunk()
    if chunk.texts:
        yield chunk


_local = threading.local()


def _encoder(folder: Path, fingerprint: str, segmenter: str) -> CachedEncoder:
    """This thread's encoder for the tokenizer in `folder`; the last one is kept."""
    key = (folder, fingerprint, segmenter)
    if getattr(_local, "key", None) != key:
        tokenizer = Tokenizer.load(folder)
        if tokenizer.fingerprint != fingerprint:  # on another machine, say
            raise CorpusError(
                "another tokenizer than the one this corpus is built with",
                where=folder,
                mend="let all workers see the same folders",
            )
        words = load_segmenter(segmenter) if segmenter else None
        _local.encoder = CachedEncoder(tokenizer, words)
        _local.key = key
    encoder: CachedEncoder = _local.encoder
    return encoder


def in_one_thread() -> None:
    """Keep `tokenizers` from starting threads in a worker that shares the cores with others."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def encode_chunk(
    chunk: Chunk, tokenizer_folder: Path, fingerprint: str, segmenter: str = ""
) -> EncodedChunk:
    """Clean, split and encode the documents of `chunk`; `segmenter` is MODULE:FUNCTION."""
    encoder = _encoder(tokenizer_folder, fingerprint, segmenter)
    sentences: list[str] = []
    counts = np.zeros(len(chunk.texts), dtype=np.int64)
    removed: list[Removed] = []
    for index, (text, by_line) in enumerate(zip(chunk.texts, chunk.line_is_sentence, strict=True)):
        found, gone = clean_document(text, line_is_sentence=by_line)
        sentences.extend(found)
        counts[index] = len(found)
        removed.append(gone)
    parts = [encoder.encode(batch) for batch in _batches(sentences)]
    lengths = _concatenated([part.lengths for part in parts])
    document_of = np.repeat(np.arange(len(counts)), counts)
    return EncodedChunk(
        tokens=_tokens(parts, encoder.vocab_size),
        word_starts=_concatenated([part.word_starts for part in parts], np.bool_),
        sentence_lengths=lengths[lengths > 0],
        document_sentences=np.bincount(document_of[lengths > 0], minlength=len(counts)),
        hashes=chunk.hashes(),
        repeated_lines=np.array([gone.repeated_lines for gone in removed], dtype=np.int64),
        control_characters=np.array([gone.control_characters for gone in removed], dtype=np.int64),
        characters=chunk.characters,
    )


def _batches(sentences: Sequence[str]) -> Iterator[Sequence[str]]:
    """Runs of sentences of about CHUNK_CHARS characters: what the encoder holds at once."""
    begin = size = 0
    for end, sentence in enumerate(sentences, start=1):
        size += len(sentence)
        if size >= CHUNK_CHARS or end == len(sentences):
            yield sentences[begin:end]
            begin, size = end, 0


def _tokens(parts: Sequence[EncodedSentences], vocab_size: int) -> TokenArray:
    dtype = token_dtype(vocab_size)
    tokens: TokenArray = np.concatenate(
        [np.zeros(0, dtype=dtype), *(part.ids.astype(dtype) for part in parts)]
    )
    return tokens


def _concatenated(arrays: Sequence[npt.NDArray[Any]], dtype: type = np.int64) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype=dtype), *arrays])
