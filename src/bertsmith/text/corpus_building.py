"""Documents into a corpus folder, by many workers, resumed where it was interrupted.

A build reads the documents once; workers clean, split and encode chunks of them; this process
drops the copies and writes. Its result does not depend on the number of workers. The same command
again goes on after an interruption.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from bertsmith.errors import CorpusError, DataError
from bertsmith.files import (
    alone_in,
    remove_interrupted_writes,
    write_atomically,
    write_text_atomically,
)
from bertsmith.text.chunks import CHUNK_CHARS, chunks_of, encode_chunk, in_one_thread, token_dtype
from bertsmith.text.corpus import TOKENIZER, Corpus
from bertsmith.text.lines import file_sha256
from bertsmith.text.manifest import (
    COUNTS,
    MANIFEST,
    UNIGRAMS,
    Manifest,
    file_sizes,
    fingerprint,
)
from bertsmith.text.record_files import TEXT
from bertsmith.text.segmenter import load_segmenter
from bertsmith.text.shards import (
    ARRAYS,
    HASH_TABLE,
    PROGRESS,
    SCAFFOLDING,
    CorpusArrays,
    PendingShard,
    Shard,
    ShardWriter,
    total,
)
from bertsmith.text.sources import Document, DocumentReader, Layout
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.workers import available_cores, map_in_order, worker_pool
from bertsmith.types import IntArray

SHARD_CHARS = 2**25
_WRITTEN_ATOMICALLY = (PROGRESS, MANIFEST, UNIGRAMS)
_FEW_BYTES = 2**23
"""Below this, starting processes takes longer than they save."""

Progress = Callable[[int, int], None]
"""Told the bytes of input read so far and in all (0: not known)."""


def build_corpus(
    texts: Iterable[str | Path] | Iterable[Document],
    tokenizer: Tokenizer,
    out: str | Path,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    layout: Layout = "auto",
    text_column: str = TEXT,
    segmenter: str = "",
    progress: Progress | None = None,
) -> Corpus:
    """Encode files (paths, folders, globs) or documents into the folder `out`.

    `workers` is the number of processes (all cores; one for little text); an `executor` of
    one's own takes their place, and runs about so many tasks at once. `text_column` is the key or
    column of the text in files of records. `segmenter`,
    MODULE:FUNCTION, names a Python function that cuts a sentence into words, for scripts
    without spaces (see `load_segmenter`). `out` may lie in a folder of `texts` and is none of them.
    Goes on with an interrupted build of the same texts and returns a finished one as it is. Raises
    DataError for text that cannot be read or cut into words, CorpusError where `out` holds
    something else or another process builds there, ConfigError for a segmenter that is not there.
    """
    out = Path(out)
    documents = _documents(texts, layout, text_column, out)
    plan = {"tokenizer": tokenizer.fingerprint, "layout": layout}
    if text_column != TEXT:
        plan["text_column"] = text_column
    if segmenter:
        load_segmenter(segmenter)
        plan["segmenter"] = segmenter
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out, CorpusError):
        if (out / MANIFEST).is_file():
            return _if_the_same(Corpus.open(out), plan, documents)
        remove_interrupted_writes(out, _WRITTEN_ATOMICALLY)
        if not (out / PROGRESS).is_file() and any(out.iterdir()):
            what = "this folder holds something else"
            raise CorpusError(what, where=out, mend="name a new folder")
        try:
            writer = ShardWriter(out, plan, token_dtype(tokenizer.vocab_size))
            tokenizer.save(out / TOKENIZER)
            pool = executor or worker_pool(workers or _sensible_workers(documents), in_one_thread)
            try:
                ahead = 2 * (workers or available_cores()) + 2
                _write_shards(writer, documents, tokenizer, pool, ahead, progress)
            finally:
                if executor is None:
                    pool.shutdown(cancel_futures=True)
            inputs = documents.summaries if isinstance(documents, DocumentReader) else []
            _finish(writer, tokenizer, [summary.as_dict() for summary in inputs])
        except BaseException:
            _remove_unless_begun(out)
            raise
        return Corpus.open(out)


def _documents(
    texts: Iterable[str | Path] | Iterable[Document], layout: Layout, text_column: str, out: Path
) -> DocumentReader | Iterator[Document]:
    given = iter([texts] if isinstance(texts, str | Path) else texts)
    first = next(given, None)
    if isinstance(first, Document):
        return chain([first], cast(Iterator[Document], given))
    paths = [] if first is None else [first, *cast(Iterator[str | Path], given)]
    return DocumentReader(paths, layout, text_column, but=out)


def _sensible_workers(documents: DocumentReader | Iterator[Document]) -> int:
    few = isinstance(documents, DocumentReader) and documents.total_bytes < _FEW_BYTES
    return 1 if few else available_cores()


def _if_the_same(
    corpus: Corpus, plan: dict[str, str], documents: DocumentReader | Iterator[Document]
) -> Corpus:
    """The finished `corpus`, where it was made of the same; else a CorpusError."""
    if plan != corpus.manifest.plan or not _is_made_of(corpus, documents):
        raise CorpusError(
            "this folder holds a corpus of other texts, or by another tokenizer or segmenter",
            where=corpus.folder,
            mend="name a new folder, or remove this one",
        )
    _remove_scaffolding(corpus.folder)
    remove_interrupted_writes(corpus.folder, _WRITTEN_ATOMICALLY)
    return corpus


def _is_made_of(corpus: Corpus, documents: DocumentReader | Iterator[Document]) -> bool:
    if isinstance(documents, DocumentReader):
        then = [
            (Path(str(file.get("path"))).name, file.get("sha256"))
            for file in corpus.manifest.inputs
        ]
        return then == [(path.name, file_sha256(path)) for path in documents.paths]
    return all(_begins_with(shard, documents) for shard in corpus.shards) and not any(
        True for _ in documents
    )


def _begins_with(shard: Shard, documents: Iterator[Document]) -> bool:
    """Whether the next documents are those of `shard`; takes them."""
    digest = hashlib.sha256()
    for chunk in chunks_of(islice(documents, shard.input_documents)):
        digest.update(chunk.hashes().data)
    return digest.hexdigest() == shard.input_digest


def _write_shards(
    writer: ShardWriter,
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    pool: Executor,
    ahead: int,
    progress: Progress | None,
) -> None:
    """Read past what is finished, then encode and write the rest."""
    stream = iter(documents)
    total_bytes = documents.total_bytes if isinstance(documents, DocumentReader) else 0
    characters = 0

    def go_on(further: int) -> None:
        nonlocal characters
        characters += further
        if progress:
            read = documents.bytes_read if isinstance(documents, DocumentReader) else characters
            progress(read, total_bytes)

    for shard in writer.shards:
        if not _begins_with(shard, stream):
            raise CorpusError(
                "this unfinished corpus was begun with other texts",
                where=writer.folder,
                mend="give the same texts, or another folder, or remove this one",
            )
        go_on(shard.characters)
    seen = writer.seen_hashes()
    encode = partial(
        encode_chunk,
        tokenizer_folder=(writer.folder / TOKENIZER).absolute(),
        fingerprint=tokenizer.fingerprint,
        segmenter=writer.plan.get("segmenter", ""),
    )
    pending = PendingShard()
    try:
        for chunk in map_in_order(pool, encode, chunks_of(stream, CHUNK_CHARS), ahead):
            pending.add(chunk, seen)
            go_on(chunk.characters)
            if pending.characters >= SHARD_CHARS:
                writer.write(pending)
                pending = PendingShard()
    except (BrokenExecutor, CancelledError):
        raise CorpusError(
            "a worker process was killed, perhaps for want of memory",
            where=writer.folder,
            mend="run the same command again, with fewer --workers",
        ) from None
    finally:
        seen.close()
    if pending.input_documents:
        writer.write(pending)


def _finish(
    writer: ShardWriter, tokenizer: Tokenizer, inputs: Sequence[dict[str, Any]] = ()
) -> None:
    """The counts, the ends of the offsets, and the manifest, which makes it a corpus.

    `inputs` describe the files that were read. Raises DataError where there is no token.
    """
    folder, shards = writer.folder, writer.shards
    if not total(shards, "tokens"):
        raise DataError("no text in any document", mend="look at what --text names")
    writer.close_offsets()
    buffer = io.BytesIO()
    np.save(buffer, _count_unigrams(writer, tokenizer.vocab_size))
    write_atomically(folder / UNIGRAMS, buffer.getvalue())
    manifest = Manifest(
        fingerprint=fingerprint(shards),
        tokenizer=tokenizer.fingerprint,
        vocab_size=tokenizer.vocab_size,
        dtype="uint16" if token_dtype(tokenizer.vocab_size) is np.uint16 else "uint32",
        plan=writer.plan,
        inputs=list(inputs),
        **{name: total(shards, name) for name in COUNTS},
        sizes=file_sizes(shards, tokenizer.vocab_size),
        shards=shards,
    )
    write_text_atomically(folder / MANIFEST, manifest.to_json())
    _remove_scaffolding(folder)


def _count_unigrams(writer: ShardWriter, vocab_size: int) -> IntArray:
    tokens = CorpusArrays(writer.folder, token_dtype(vocab_size)).tokens
    counts = np.zeros(vocab_size, dtype=np.int64)
    for begin in range(0, len(tokens), 2**22):
        counts += np.bincount(tokens[begin : begin + 2**22], minlength=vocab_size)
    return counts


def _remove_scaffolding(folder: Path) -> None:
    for name in SCAFFOLDING:
        (folder / name).unlink(missing_ok=True)


def _remove_unless_begun(folder: Path) -> None:
    """After an error: keep a finished corpus, or finished shards to go on from; else nothing."""
    (folder / HASH_TABLE).unlink(missing_ok=True)
    if (folder / MANIFEST).is_file():
        return
    try:
        progress = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        begun = any(shard["tokens"] for shard in progress["shards"])
    except FileNotFoundError:
        begun = False
    except (ValueError, KeyError, TypeError):  # damaged: not ours to throw away
        return
    if begun:
        return
    shutil.rmtree(folder / TOKENIZER, ignore_errors=True)
    for name in (*ARRAYS, UNIGRAMS):
        (folder / name).unlink(missing_ok=True)
    _remove_scaffolding(folder)
    if not any(folder.iterdir()):
        folder.rmdir()
