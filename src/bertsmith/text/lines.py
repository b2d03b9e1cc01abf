"""Lines of text out of plain and compressed files, in bounded memory.

Every problem of a file (binary, not UTF-8, cut short, one endless line) is a DataError that
names the file and the line.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import lzma
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from bertsmith.errors import DataError

COMPRESSIONS = (".gz", ".xz", ".zst")
MAX_LINE_BYTES = 16 * 2**20
_READ_BYTES = 2**18
_ZSTD_READ_BYTES = 2**12  # a block of this size cannot unfold into more than some 128 MiB
_DAMAGE = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, zstandard.ZstdError)


class HashedFile(io.RawIOBase):
    """A file as it is on disk, read once from front to back, with its SHA-256 so far."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._digest = hashlib.sha256()
        self.bytes_read = 0

    def readable(self) -> bool:
        """Always True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer`; the number of bytes read, 0 at the end."""
        count = self._file.readinto(buffer) or 0
        self._digest.update(memoryview(buffer)[:count])
        self.bytes_read += count
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    @property
    def sha256(self) -> str:
        """Of what has been read so far, in hexadecimal."""
        return self._digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Of the file as it is on disk, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_suffix(path: Path) -> str:
    """The suffix under a compression's: `.jsonl` of `a.jsonl.gz`."""
    name = path.name.lower()
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression)
    return Path(name).suffix


def decompressed(raw: HashedFile, path: Path) -> BinaryIO:
    """The bytes inside `raw`, by the last suffix of `path`."""
    buffered = io.BufferedReader(raw, _READ_BYTES)
    match path.suffix.lower():
        case ".gz":
            return gzip.GzipFile(fileobj=buffered, mode="rb")  # type: ignore[return-value]
        case ".xz":
            return lzma.LZMAFile(buffered, "rb")  # type: ignore[return-value]
        case ".zst":
            return io.BufferedReader(_ZstdFile(buffered), _READ_BYTES)
        case _:
            return buffered


class _ZstdFile(io.RawIOBase):
    """The frames of a zstd file, one after the other; EOFError where the last one is cut.

    The library's own stream reader passes over a cut end in silence.
    """

    def __init__(self, compressed: io.BufferedReader[HashedFile]) -> None:
        super().__init__()
        self._compressed = compressed
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._inside, self._ready = False, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready:
            block = self._compressed.read(_ZSTD_READ_BYTES)
            if not block:
                if self._inside:
                    raise EOFError("it ends inside a frame")
                return 0
            self._ready = memoryview(self._decompress(block))
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _decompress(self, block: bytes) -> bytes:
        parts = []
        while block:
            parts.append(self._frame.decompress(block))
            self._inside = not self._frame.eof
            block = self._frame.unused_data
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
        return b"".join(parts)


def read_lines(stream: BinaryIO, path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end), decoded as UTF-8; a BOM is dropped.

    Raises DataError for a line above 16 MiB, a NUL byte, bad UTF-8, a damaged archive.
    """
    number = 0
    while True:
        number += 1
        try:
            line = stream.readline(MAX_LINE_BYTES + 1)
        except _DAMAGE as error:
            raise _damaged(error, f"{path}:{number}") from None
        if not line:
            return
        if len(line) > MAX_LINE_BYTES:
            raise DataError(
                f"a line longer than {MAX_LINE_BYTES // 2**20} MiB",
                where=f"{path}:{number}",
                mend="break the text into lines, a paragraph each",
            )
        yield number, decoded(line, path, number).rstrip("\r\n")


def file_lines(path: Path) -> Iterator[tuple[int, str]]:
    """`read_lines` of a whole file, decompressed by its last suffix."""
    with HashedFile(path) as raw:
        yield from read_lines(decompressed(raw, path), path)


def read_bytes(stream: BinaryIO, most: int, path: Path) -> bytes:
    """Up to `most` bytes. Raises DataError for a damaged archive."""
    try:
        return stream.read(most)
    except _DAMAGE as error:
        raise _damaged(error, path) from None


def read_blocks(stream: BinaryIO, path: Path) -> Iterator[str]:
    """The text of a stream in pieces that are not empty, decoded as UTF-8; a BOM is dropped.

    Raises DataError for a NUL byte, bad UTF-8, a damaged archive.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    line, is_over = 1, False
    while not is_over:
        try:
            content = stream.read(_READ_BYTES)
        except _DAMAGE as error:
            raise _damaged(error, f"{path}:{line}") from None
        is_over = not content
        if b"\0" in content:
            raise _binary(f"{path}:{line + content[: content.index(0)].count(10)}")
        try:
            text = decoder.decode(content, final=is_over)
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            place = f"{path}:{line + before.count(10)}"
            raise _no_utf8(f"0x{error.object[error.start]:02x}", place) from None
        line += text.count("\n")
        if text:
            yield text


def _damaged(error: Exception, where: str | Path) -> DataError:
    if "too much memory" in str(error):  # zstd's own limit
        return DataError(
            "compressed with a window of more than 128 MiB",
            where=where,
            mend="unpack it with `zstd -d --long=31`, and compress it again without --long",
        )
    return DataError(
        f"the compressed file is cut or damaged ({error})",
        where=where,
        mend="fetch or make it again",
    )


def decoded(content: bytes, path: Path, line: int = 1) -> str:
    """Lines as UTF-8, the first of which is number `line` of the file; a BOM is dropped.

    Raises DataError for a NUL byte and for bad UTF-8.
    """
    if b"\0" in content:
        raise _binary(f"{path}:{line + content[: content.index(0)].count(10)}")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        begin = content.rfind(b"\n", 0, error.start) + 1
        place, value = error.start - begin + 1, content[error.start]
        at = f"{path}:{line + content[: error.start].count(10)}"
        raise _no_utf8(f"byte {place} of the line is 0x{value:02x}", at) from None
    return text.removeprefix("\ufeff") if line == 1 else text


def _binary(where: str) -> DataError:
    return DataError(
        "a binary file, not text (NUL bytes)",
        where=where,
        mend="give text in UTF-8; other encodings can be turned with iconv",
    )


def _no_utf8(how: str, where: str) -> DataError:
    return DataError(
        f"not UTF-8 ({how})", where=where, mend="turn the file into UTF-8, for example with iconv"
    )


def listed(names: Iterable[str]) -> str:
    """Names of columns or keys for an error line, however many and long they are."""
    every = list(names)
    shown = ", ".join(repr(name if len(name) <= 40 else name[:37] + "...") for name in every[:8])
    return (shown or "nothing") + (f" and {len(every) - 8} more" if len(every) > 8 else "")


def require_unicode(text: str, where: str | Path, what: str = "the text") -> None:
    """Raise DataError where `text` has half a surrogate pair, which JSON spells and UTF-8 cannot.

    `what` says what the text is.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            f"half a surrogate pair (\\ud800 to \\udfff) in {what}",
            where=where,
            mend="write the JSON again with proper Unicode",
        ) from None
