"""`bertsmith` as a real command, on pipes or on a terminal, on a machine of any speed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from threading import Thread

SECONDS = 280
"""After which a command hangs: a busy machine takes half a minute to import torch."""
_BAR = re.compile(r"^.+: \d+ % .*\n", re.MULTILINE)
"""A line of a bar off a terminal, of which a job has one every ten seconds."""


def bertsmith(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """What became of the command; what it said to stderr without the lines of bars."""
    done = subprocess.run(
        [sys.executable, "-m", "bertsmith", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    done.stderr = _BAR.sub("", done.stderr)
    return done


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It must have said what is wrong in one line, with `words` in it."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("bertsmith: error: ")
    for word in words:
        assert word in done.stderr


def shown(*arguments: object, stream: str, environment: Mapping[str, str] | None = None) -> bytes:
    """All that a terminal is given as the command's `stream`, read while it is written: a bar's
    every look is some hundred bytes, and a terminal holds only so many."""
    screen, terminal = os.openpty()
    seen = bytearray()

    def look() -> None:
        try:
            while some := os.read(screen, 2**16):
                seen.extend(some)
        except OSError:  # as Linux has it where nobody writes any more
            pass

    reader = Thread(target=look)
    reader.start()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: terminal}
    try:
        command = [sys.executable, "-m", "bertsmith", *map(str, arguments)]
        subprocess.run(command, check=True, timeout=SECONDS, env=environment, **streams)
    finally:
        os.close(terminal)
        reader.join()
        os.close(screen)
    return bytes(seen)
