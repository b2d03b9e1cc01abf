"""Writing files and folders so that a reader sees the old content or the new, never a half."""

from __future__ import annotations

import fcntl
import glob
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from bertsmith.errors import BertsmithError

_INTERRUPTED = re.compile(r"\..+\.(\d+|[0-9a-f]{8})\.tmp")
"""What `open_atomically` calls a file before it is whole, and `temporary_folder` its folder."""


@contextmanager
def errors_naming(path: Path) -> Iterator[None]:
    """An OSError of the block says it is about `path` where it names no file, as in a write."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when the block ends well, and else is gone.

    A temporary file beside it, fsync, rename, fsync of the folder. An OSError is about `path`.
    A device or a pipe, such as /dev/null, is written to as it is, and a link keeps its place.
    """
    if path.exists() and not path.is_file():
        with errors_naming(path), path.open("wb") as file:
            yield file
        return
    if path.is_symlink():
        path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with errors_naming(path), temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(path)  # the other name means nothing to anybody
        with suppress(OSError):  # where there is no such folder
            temporary.unlink()
        raise
    sync(path.parent)


def is_temporary(path: Path) -> bool:
    """Whether it is what `open_atomically` was writing when something killed it."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def require_place(path: Path, error: type[BertsmithError], but: Iterable[str | Path] = ()) -> None:
    """Raise `error`, before the work, where no file could be written at `path` after it.

    Nor shall it take the place of one of `but`, the files that the work reads.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise error("not a file that can be written", where=path, mend="name another")
    if path.is_file() and any(Path(one).is_file() and path.samefile(one) for one in but):
        raise error("is read here, and would be replaced", where=path, mend="name another")


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, whole or not at all."""
    with open_atomically(path) as file:
        file.write(content)


def write_text_atomically(path: Path, content: str) -> None:
    """`write_atomically` of UTF-8."""
    write_atomically(path, content.encode("utf-8"))


def sync(path: Path) -> None:
    """Flush a file, or the renames inside a folder, so that they outlast a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_plain_file(path: Path, most_bytes: int, error: type[BertsmithError]) -> None:
    """Raise `error` where `path` is not a regular file of at most `most_bytes` in its own folder.

    A pipe or a device may never end, and a link that leads out of the folder may lead anywhere.
    The one such link that is taken is Hugging Face's, in the cache of its downloads:
    snapshots/REVISION/NAME -> ../../blobs/HASH.
    """
    try:
        real, folder = path.resolve(strict=True), path.parent.resolve()
    except (OSError, RuntimeError):
        raise error("is missing, or a link to nothing", where=path) from None
    if not real.is_file():
        raise error("is no regular file", where=path, mend="put the file itself there")
    cached = folder.parent.name == "snapshots" and real.parent == folder.parent.parent / "blobs"
    if not real.is_relative_to(folder) and not cached:
        raise error("is a link that leads out of its folder", where=path, mend="copy the file")
    size = real.stat().st_size
    if size > most_bytes:
        raise error(f"is too large: {size:,} bytes, where {most_bytes:,} are the most", where=path)


@contextmanager
def alone_in(folder: Path, error: type[BertsmithError]) -> Iterator[None]:
    """Keep `folder` for this block; `error` where another process has it so.

    The system lets go of it when the process ends, however that is. Where a file system has no
    locks, nobody is kept out.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise error(
                "another process is writing here", where=folder, mend="wait for it, or stop it"
            ) from None
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


def is_free(folder: Path) -> bool:
    """Whether `folder` is nowhere, or holds nothing but what killed processes left of
    `open_atomically` and `temporary_folder`."""
    if not folder.exists():
        return True
    return folder.is_dir() and all(_INTERRUPTED.fullmatch(path.name) for path in folder.iterdir())


def remove_interrupted_writes(folder: Path, names: Iterable[str]) -> None:
    """Remove what killed processes left of `open_atomically` of files `names` in `folder`."""
    for name in names:
        for path in folder.glob(f".{glob.escape(name)}.*.tmp"):
            path.unlink()


@contextmanager
def replace_folder(folder: Path, holds: str, error: type[BertsmithError]) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends well.

    An older folder is replaced only if it is empty or has a file named `holds`, so that a
    mistyped path costs nobody their files; else `error` is raised. Everything is flushed to
    the disk before the renames; a block that fails leaves the older folder as it was and no
    trace of itself. What killed processes left of earlier attempts is removed.
    """
    folder = folder.resolve()
    check_replaceable(folder, holds, error)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder) as temporary:
        yield temporary
        for path in temporary.rglob("*"):
            sync(path)
        sync(temporary)
        _swap(temporary, folder)


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that is gone when the block ends, whatever ends it.

    Where it ends well, what killed processes left of earlier ones is removed, too.
    """
    temporary = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir()
        yield temporary
    finally:
        try:
            shutil.rmtree(temporary, ignore_errors=True)
        except BaseException:  # a signal that has come meanwhile
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    _remove_leftovers(folder)


def check_replaceable(folder: Path, holds: str, error: type[BertsmithError]) -> None:
    """Raise `error` where `replace_folder` would, as far as can be seen before."""
    if not folder.exists():
        place = next(parent for parent in folder.absolute().parents if parent.exists())
        if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
            what = f"cannot be made: {place} is no folder that can be written to"
            raise error(what, where=folder, mend="choose another folder")
        return
    if not (folder.is_dir() and ((folder / holds).is_file() or not any(folder.iterdir()))):
        raise error(
            f"is there already, and is no folder with a {holds}",
            where=folder,
            mend="choose another folder",
        )


def _swap(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        temporary.rename(folder)
        sync(folder.parent)
        return
    older = temporary.with_suffix(".old")
    folder.rename(older)
    try:
        temporary.rename(folder)
    except BaseException:
        older.rename(folder)
        raise
    sync(folder.parent)
    shutil.rmtree(older)


def _remove_leftovers(folder: Path) -> None:
    for suffix in (".tmp", ".old"):
        pattern = f".{glob.escape(folder.name)}.{'[0-9a-f]' * 8}{suffix}"
        for left in folder.parent.glob(pattern):
            shutil.rmtree(left, ignore_errors=True)
