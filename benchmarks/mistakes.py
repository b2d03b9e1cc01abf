"""What a user can mend, in one line, as `bertsmith` itself says it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bertsmith.errors import BertsmithError


@contextmanager
def told_in_a_line() -> Iterator[None]:
    """Ends with exit code 2, and no traceback, where the block raises a BertsmithError."""
    try:
        yield
    except BertsmithError as error:
        print(f"bertsmith: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
