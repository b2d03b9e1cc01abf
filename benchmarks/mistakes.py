"""What a user can mend, in one line, as `bertsmith` itself says it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bertsmith.errors import BertsmithError, DataError


@contextmanager
def told_in_a_line() -> Iterator[None]:
    """Ends with exit code 2, and no traceback, where the block raises a BertsmithError or a disk
    refuses. What a command that the block has run has told itself is not told again.

    Also a decorator: `@told_in_a_line()`.
    """
    try:
        yield
    except BertsmithError as error:
        _end(str(error))
    except subprocess.CalledProcessError as error:
        if error.stderr is not None:  # kept from the user
            raise
        raise SystemExit(max(1, error.returncode)) from None
    except OSError as error:
        if error.strerror is None:
            raise
        _end(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)


def _end(what: str) -> None:
    print(f"bertsmith: error: {what}", file=sys.stderr)
    raise SystemExit(2) from None


def data_at_hand() -> Path | None:
    """The folder of data sets that $BERTSMITH_DATA names; None where it names none.

    Raises DataError where there is no such folder.
    """
    named = os.environ.get("BERTSMITH_DATA")
    if named and not Path(named).is_dir():
        mend = "set $BERTSMITH_DATA to the folder of the data sets, or to nothing"
        raise DataError("no such folder", where=named, mend=mend)
    return Path(named) if named else None


def data_folder() -> Path:
    """Likewise, where there has to be one."""
    folder = data_at_hand()
    if folder is None:
        raise DataError("names no folder", where="$BERTSMITH_DATA", mend="name that of the data")
    return folder
