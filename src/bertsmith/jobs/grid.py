"""The points of a search: a learning rate, a number of epochs and a batch size each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import product
from typing import Any

from bertsmith.errors import ConfigError
from bertsmith.schema import Config
from bertsmith.tasks.protocol import Protocol

USUAL = "usual"
RATES, EPOCHS, BATCHES = (0.5, 1.0, 2.0), (2 / 3, 1.0, 4 / 3), (0.5, 1.0)
"""Of the usual grid, as multiples of what a single run would take: BERT's own has two, three and
four epochs and two batch sizes (appendix A.3)."""
_MEND = "write such as 'lr=1e-4,3e-4 epochs=2,4 batch_size=16,32'"


class Point(Config):
    """What one fine-tuning of the search has of its own; else it has the protocol's values."""

    lr: float
    epochs: int
    batch_size: int

    @property
    def name(self) -> str:
        """Its folder's."""
        return f"lr{self.lr}-epochs{self.epochs}-batch{self.batch_size}"


def make_grid(text: str, protocol: Protocol) -> list[Point]:
    """All combinations of the values in `text`, "lr=A,B epochs=C batch_size=D,E", in its order.

    What is not named has the protocol's own value; "usual" names all three around those. Raises
    ConfigError.
    """
    axes: dict[str, Sequence[Any]] = {
        key: [getattr(protocol, key)] for key in ("lr", "epochs", "batch_size")
    }
    axes.update(_usual(protocol) if text == USUAL else _parsed(text, list(axes)))
    return [
        Point(lr=lr, epochs=epochs, batch_size=batch)
        for lr, epochs, batch in product(*axes.values())
    ]


def _usual(protocol: Protocol) -> dict[str, list[Any]]:
    return {
        "lr": [float(f"{protocol.lr * factor:.2g}") for factor in RATES],
        "epochs": _whole(protocol.epochs, EPOCHS),
        "batch_size": _whole(protocol.batch_size, BATCHES),
    }


def _whole(value: int, factors: Sequence[float]) -> list[int]:
    return sorted({max(1, round(value * factor)) for factor in factors})


def _parsed(text: str, known: Sequence[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for part in text.split():
        key, equals, values = part.partition("=")
        if not equals or not values:
            raise ConfigError(f"{part!r:.60} names no values", where="search", mend=_MEND)
        if key not in known:
            near = get_close_matches(key, known, n=1)
            mend = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"no search over {key!r:.60}", where="search", mend=mend)
        if key in found:
            raise ConfigError(f"{key} is named twice", where="search", mend=_MEND)
        found[key] = list(dict.fromkeys(_number(key, value) for value in values.split(",")))
    if not found:
        raise ConfigError("no values to search over", where="search", mend=_MEND)
    return found


def _number(key: str, text: str) -> float | int:
    try:
        number = float(text) if key == "lr" else int(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{text!r:.60} is no value of {key}", where="search", mend=_MEND)
    return number
