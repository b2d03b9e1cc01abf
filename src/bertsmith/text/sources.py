"""Documents out of files, one at a time: text, or records with a text; plain or compressed.

A text file is laid out in one of three ways (`Layout`); `auto` looks at its first part.
Nothing is held but one document, and one of a text file that is longer than MAX_DOCUMENT_CHARS
(a whole library in one file) is cut into several at a line's end. Records (.jsonl, .ndjson, .json,
.csv, .tsv, .parquet) are a document each; see `record_files`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

from bertsmith.errors import ConfigError, DataError
from bertsmith.text.clean import split_sentences
from bertsmith.text.docstrings import docstrings
from bertsmith.text.lines import HashedFile, decompressed, read_lines, text_suffix
from bertsmith.text.parquet import ParquetFile, require_readable
from bertsmith.text.record_files import KINDS, TEXT, TextRecord, record_kind, text_records

Layout = Literal["auto", "file", "blank", "lines"]
"""How a .txt holds documents.

    file    one document
    blank   documents with blank lines between them
    lines   a sentence a line, blank lines between documents
    auto    decided by the first part of each file
"""

MAX_DOCUMENT_CHARS = 4 * 2**20
SUFFIXES = (".txt", *KINDS)
"""Of the files that are read in a folder; any other that is named is read as a .txt is."""
_SAMPLE_CHARS = 2**18
_SENTENCE_ENDS = tuple(".!?…:;\"'”’)]。！？」』）؟۔।")


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its text, and where it is from."""

    text: str
    title: str = ""
    label: str = ""
    source: str = ""
    line_is_sentence: bool = False


@dataclass(frozen=True, slots=True)
class FileSummary:
    """One file that has been read to its end."""

    path: str
    size: int
    sha256: str
    layout: str
    documents: int

    def as_dict(self) -> dict[str, str | int]:
        """For a manifest."""
        return asdict(self)


def expand_paths(paths: Iterable[str | Path]) -> list[Path]:
    """Every text file under `paths` (files, folders, globs), sorted, each once.

    Raises DataError where a path matches nothing, with the nearest name there is.
    """
    found: set[Path] = set()
    for given in paths:
        if not str(given):
            raise ConfigError("an empty name", where="text", mend="give a file or a folder")
        path = Path(given)
        if path.is_dir():
            inside = [p for p in _files_in(path) if p.is_file() and text_suffix(p) in SUFFIXES]
            if not inside:
                kinds = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
                raise DataError(
                    f"no {kinds} file in this folder", where=path, mend="name the files"
                )
            found.update(inside)
        elif path.is_file():
            found.add(path)
        else:
            files = _matches(path)
            if not files and path.exists():
                raise DataError(
                    "is no regular file, and texts may be read more than once",
                    where=path,
                    mend="write it to a file first",
                )
            if not files:
                raise DataError("no such file", where=path, mend=_nearest(path))
            found.update(files)
    if not found:
        raise ConfigError("no text was named", mend="give at least one file or folder")
    return sorted(found)


def _files_in(folder: Path) -> Iterator[Path]:
    """All files under `folder`. Raises OSError for a folder that may not be read."""

    def refuse(error: OSError) -> None:
        raise error

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(parent, name) for name in names)


def _matches(pattern: Path) -> list[Path]:
    """The files that the glob `pattern` names; DataError where it is none."""
    anchor = Path(pattern.anchor)
    try:
        found = list(anchor.glob(str(pattern.relative_to(anchor))))
    except (ValueError, NotImplementedError) as error:
        raise DataError(
            f"not a pattern for files ({error})", where=pattern, mend="write ** as in data/**/*.txt"
        ) from None
    return [path for path in found if path.is_file()]


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {str(path.parent)!r} either"
    names = sorted(entry.name for entry in path.parent.iterdir())
    if near := get_close_matches(path.name, names, n=1):
        return f"did you mean {str(path.parent / near[0])!r}?"
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"the folder holds {shown}" if names else "the folder is empty"


def _outside(paths: list[Path], folder: Path) -> list[Path]:
    """Those of `paths` that are not in `folder`; where all are, all."""
    place = folder.resolve()
    return [path for path in paths if not path.resolve().is_relative_to(place)] or paths


class DocumentReader:
    """The documents of some files in order; may be gone through more than once.

    Of a record, `text_column` is the key or the column that holds the text.
    `bytes_read` of `total_bytes` says how far it is, and `summaries` what has been read. What lies
    in the folder `but`, where other files are named, too, is not read.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        layout: Layout = "auto",
        text_column: str = TEXT,
        but: Path | None = None,
    ) -> None:
        if layout not in get_args(Layout):
            raise ConfigError(
                f"no layout {layout!r}", mend=f"choose from {', '.join(get_args(Layout))}"
            )
        named = expand_paths(paths)
        self.paths = named if but is None else _outside(named, but)
        for path in self.paths:
            if record_kind(path) == "parquet":
                require_readable(path)
        self.layout: Layout = layout
        self.text_column = text_column
        self.total_bytes = sum(path.stat().st_size for path in self.paths)
        self.summaries: list[FileSummary] = []
        self._before, self._raw = 0, None

    @property
    def bytes_read(self) -> int:
        """Bytes on disk that have been read in the present round."""
        return self._before + (self._raw.bytes_read if self._raw else 0)

    _raw: HashedFile | ParquetFile | None

    def __iter__(self) -> Iterator[Document]:
        """Raises DataError, with file and line, for anything that is not text, and where no file
        holds any. Of some empty ones, `summaries` tell."""
        self._before, self._raw, self.summaries = 0, None, []
        for path in self.paths:
            yield from self._file(path)
        if not any(summary.documents for summary in self.summaries):
            raise DataError(
                "no text in this file" if len(self.paths) == 1 else "no text, nor in any other",
                where=self.paths[0],
                mend="name files with text in them",
            )

    def _file(self, path: Path) -> Iterator[Document]:
        count, kind = 0, record_kind(path)
        layout: str = kind or self.layout
        with closing(ParquetFile(path) if kind == "parquet" else HashedFile(path)) as raw:
            self._raw = raw
            if isinstance(raw, ParquetFile):
                documents = _record_documents(raw.records(self.text_column), path)
            elif kind is not None:
                records = text_records(decompressed(raw, path), path, kind, self.text_column)
                documents = _record_documents(records, path)
            else:
                lines = read_lines(decompressed(raw, path), path)
                layout, documents = _text_documents(lines, path, self.layout)
            for document in documents:
                count += 1
                yield document
            summary = FileSummary(str(path), raw.bytes_read, raw.sha256, layout, count)
        self._raw, self._before = None, self._before + summary.size
        self.summaries.append(summary)


def read_documents(
    paths: Sequence[str | Path], layout: Layout = "auto", text_column: str = TEXT
) -> Iterator[Document]:
    """The documents of `paths`, one at a time; see DocumentReader."""
    return iter(DocumentReader(paths, layout, text_column))


def read_texts(
    paths: Sequence[str | Path],
    layout: Layout = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
    text_column: str = TEXT,
) -> Iterator[str]:
    """The texts of the documents of `paths`, one at a time, as tokenizer training takes them.

    `progress` is told the bytes read so far, and in all.
    """
    reader = DocumentReader(paths, layout, text_column)

    def texts() -> Iterator[str]:
        for document in reader:
            progress(reader.bytes_read, reader.total_bytes)
            yield document.text

    return texts()


def python_docs() -> Iterator[Document]:
    """The documentation that this Python environment carries, labelled by library."""
    for title, label, text in docstrings():
        yield Document(text, title=title, label=label, source="python")


def _record_documents(records: Iterator[TextRecord], path: Path) -> Iterator[Document]:
    for text, title in records:
        if text and not text.isspace():
            yield Document(text, title=title, source=str(path))


def _text_documents(
    lines: Iterator[tuple[int, str]], path: Path, layout: Layout
) -> tuple[str, Iterator[Document]]:
    """The layout, decided where it was `auto`, and the documents."""
    head: list[tuple[int, str]] = []
    if layout == "auto":
        size = 0
        for number, line in lines:
            head.append((number, line))
            size += len(line) + 1
            if size > _SAMPLE_CHARS:
                break
        layout = guess_layout([line for _, line in head])
    texts = (line for part in (head, lines) for _, line in part)
    return layout, _cut_documents(texts, path, layout)


def _cut_documents(lines: Iterable[str], path: Path, layout: Layout) -> Iterator[Document]:
    def document() -> Document:
        return Document(
            held.getvalue(),
            title=path.name,
            source=str(path),
            line_is_sentence=layout == "lines",
        )

    held, has_text = io.StringIO(), False
    for line in lines:
        blank = not line or line.isspace()
        if has_text and ((blank and layout != "file") or held.tell() > MAX_DOCUMENT_CHARS):
            yield document()
            held, has_text = io.StringIO(), False
        if not blank or has_text:
            held.write(line + "\n")
            has_text = True
    if has_text:
        yield document()


def guess_layout(lines: Sequence[str]) -> Layout:
    """How the text file that begins with `lines` holds its documents.

    A sentence a line shows in lines that end as sentences do and hold hardly more than one,
    several to a block; blocks long enough to be documents of their own are taken as such;
    else the file is one.
    """
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            blocks[-1].append(line.strip())
        elif blocks[-1]:
            blocks.append([])
    blocks = [block for block in blocks if block]
    content = [line for block in blocks for line in block]
    if not content:
        return "file"
    finished = sum(line.endswith(_SENTENCE_ENDS) for line in content) / len(content)
    if finished >= 0.8 and len(content) >= 3 * len(blocks):
        sentences = sum(len(split_sentences(line)) for line in content)
        if sentences <= 1.2 * len(content):
            return "lines"
    characters = sum(map(len, content)) / len(blocks)
    return "blank" if len(blocks) > 1 and characters >= 200 else "file"
