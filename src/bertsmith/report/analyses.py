"""A folder of analyses: each instrument's data and figure, and one page of all that are there.

    NAME.json  NAME.tsv  NAME.png  NAME.svg  report.html

The page is made from the .json files, so that it grows with every instrument that is run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bertsmith.errors import ConfigError, DataError
from bertsmith.files import write_text_atomically
from bertsmith.report import (
    alignment,
    anisotropy,
    attention,
    curves,
    growth,
    language,
    layers,
    masked,
    similarity,
)
from bertsmith.report.images import save
from bertsmith.report.page import Section, write_report

Data = Mapping[str, Any]
PAGE = "report.html"


@dataclass(frozen=True)
class Instrument:
    """How one kind of data is shown."""

    figure: Callable[[Data], Figure]
    sections: Callable[[Data], list[Section]]


INSTRUMENTS = {
    "similarity": Instrument(similarity.figure, similarity.sections),
    "attention": Instrument(attention.figure, attention.sections),
    "layers": Instrument(layers.figure, layers.sections),
    "fill": Instrument(masked.figure, masked.sections),
    "anisotropy": Instrument(anisotropy.figure, anisotropy.sections),
    "alignment": Instrument(alignment.figure, alignment.sections),
    "language": Instrument(language.figure, language.sections),
    "curve": Instrument(curves.figure, curves.sections),
    "growth": Instrument(growth.figure, growth.sections),
}
"""By name, in the order of the page."""


def require_folder(folder: str | Path) -> None:
    """Raise ConfigError, before the work, where `folder` cannot hold what an instrument finds, or
    has a page of something else, such as a run's."""
    path = Path(folder)
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise ConfigError(f"{nearest} is no folder", where="out", mend="name another folder")
    names = {f"{name}{kind}" for name in INSTRUMENTS for kind in (".json", ".tsv", ".png", ".svg")}
    if (path / PAGE).exists() and not any((path / name).exists() for name in names):
        what = f"has another {PAGE}, which would be replaced"
        raise ConfigError(what, where=path, mend="give another folder")


def write_analysis(
    folder: Path, name: str, data: Data, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Path:
    """Write what the instrument `name` found, its table as TSV, and the page anew; its path.

    Raises DataError where another instrument's .json in `folder` is broken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [columns, *([_cell(value) for value in row] for row in rows)]
    write_text_atomically(folder / f"{name}.tsv", "".join("\t".join(line) + "\n" for line in lines))
    save(INSTRUMENTS[name].figure(data), folder / name)
    text = json.dumps(_plain(data), indent=1, ensure_ascii=False) + "\n"
    write_text_atomically(folder / f"{name}.json", text)
    sections: list[Section] = []
    models: dict[str, list[str]] = {}
    for known, instrument in INSTRUMENTS.items():
        path = folder / f"{known}.json"
        if path.exists():
            try:
                found = json.loads(path.read_text("utf-8"))
                sections += instrument.sections(found)
                models.setdefault(found["model"], []).append(known)
            except (ValueError, LookupError, TypeError, AttributeError):
                raise DataError(
                    "is not what an analysis wrote", where=path, mend="remove it, or run it again"
                ) from None
    return write_report(folder / PAGE, "What the model knows", _summary(models), sections)


def _summary(models: Mapping[str, Sequence[str]]) -> str:
    """Which model the page is of; where instruments looked at several, which at which."""
    if len(models) == 1:
        return f"Model: {next(iter(models))}"
    shown = (f"{model} ({', '.join(names)})" for model, names in models.items())
    return f"Models: {'; '.join(shown)}"


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
