"""What says which words, or sentences, of two languages mean the same.

dictionaries   MUSE's, `source target` a line (Lample et al. 2018), or hunalign's,
               `target @ source`
sentences      `source<tab>target` a line; what follows a second tab is passed over (Tatoeba)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from bertsmith.errors import DataError
from bertsmith.tasks.records import Lines, open_lines

_HUNALIGN = " @ "
_LOOKED_AT = 100
"""Lines that tell which of the two a dictionary is."""
_Parse = Callable[[str], tuple[str, str] | str]
"""A line's source and target, or how it should be written."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of source and target, each once, in the order of the file."""

    path: Path
    pairs: tuple[tuple[str, str], ...]
    identical: int
    """Left out: both sides are the same, which a model need know nothing to see."""


def read_dictionary(path: str | Path) -> Pairs:
    """The pairs of words in a dictionary. Raises DataError, with the line, for what is none."""
    path = Path(path)
    lines = open_lines(path)
    head = list(islice(lines, _LOOKED_AT))
    is_hunalign = any(_HUNALIGN in line for _, line in head)
    return _pairs(chain(head, lines), path, _hunalign if is_hunalign else _muse)


def read_parallel(path: str | Path) -> Pairs:
    """The pairs of sentences in a file. Raises DataError, with the line, for what is none."""
    path = Path(path)
    return _pairs(open_lines(path), path, _tatoeba)


def _hunalign(line: str) -> tuple[str, str] | str:
    target, found, source = line.partition(_HUNALIGN)
    return (source, target) if found else "write `target @ source`"


def _muse(line: str) -> tuple[str, str] | str:
    fields = line.split("\t" if "\t" in line else None)
    return (fields[0], fields[1]) if len(fields) == 2 else "write `source target`"


def _tatoeba(line: str) -> tuple[str, str] | str:
    fields = line.split("\t")
    return (fields[0], fields[1]) if len(fields) > 1 else "write `source`, a tab, `target`"


def _pairs(lines: Lines, path: Path, parse: _Parse) -> Pairs:
    found: dict[tuple[str, str], None] = {}
    identical = 0
    for number, line in lines:
        if not line.strip():
            continue
        parsed = parse(line)
        if isinstance(parsed, str):
            raise DataError("is no pair", where=f"{path}:{number}", mend=parsed)
        source, target = (" ".join(side.split()) for side in parsed)
        if not (source and target):
            raise DataError("one side is empty", where=f"{path}:{number}", mend="fill it in")
        if source.casefold() == target.casefold():
            identical += 1
        else:
            found[source, target] = None
    if not found:
        raise DataError("has no pairs", where=path, mend="give a line for each pair")
    return Pairs(path, tuple(found), identical)
