"""A command that is ended in the midst of its work, however slow or busy the machine is."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ENDED = """
import os, sys
from pathlib import Path

from bertsmith.cli.main import run
from bertsmith.jobs import processes

number, out, begun, *command = sys.argv[1:]
wait, left = processes.wait, [int(number)]

def ended(running, seconds, when):
    done = wait(running, 0.01, when)
    if left and list(Path(out).glob(begun)):
        os.kill(os.getpid(), left.pop())
    return done

processes.wait = ended
run(command)
"""
"""Several processes at a time, of which the first one gets its signal, or is killed, as soon as
files like `begun` are there: at the latest when one of its items is done and others wait."""


def end_once(number: signal.Signals, out: Path, begun: str, command: list[str]) -> str:
    """What the command said on its way; it must have ended by the signal.

    It is all there when every process has ended, since each has the pipe.
    """
    ended = subprocess.run(
        [sys.executable, "-c", ENDED, str(int(number)), str(out), begun, *command],
        capture_output=True,
        text=True,
        timeout=280,
    )
    expected = -number if number is signal.SIGKILL else 128 + number
    assert ended.returncode == expected, ended.stderr
    return ended.stderr
