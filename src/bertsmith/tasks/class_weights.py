"""What an error on each class costs: alike, by how rare the class is, or as one says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from bertsmith.errors import ConfigError
from bertsmith.text.lines import listed
from bertsmith.types import FloatArray

BALANCED = "balanced"
_WHERE = "class_weights"


def weigh_classes(chosen: str, names: Sequence[str], counts: FloatArray) -> FloatArray:
    """(names,) weights of classes of which each example has one; `counts` are theirs.

    "balanced" gives every class the same weight in all, whatever its number of examples (King &
    Zeng 2001, section 4; scikit-learn's "balanced"). As given, they are scaled to a mean of 1
    over the examples, so that the rate need not change. Raises ConfigError.
    """
    if chosen == BALANCED:
        weights: FloatArray = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return weights
    weights = given(chosen, names)
    weights *= counts.sum() / (weights * counts).sum()
    return weights


def weigh_labels(chosen: str, names: Sequence[str], counts: FloatArray, rows: int) -> FloatArray:
    """(names,) what a label that holds weighs, beside 1 where it does not, for `rows` examples of
    which `counts` have each label.

    "balanced" gives both sides the same weight in all. Raises ConfigError.
    """
    if chosen != BALANCED:
        return given(chosen, names)
    mixed = (counts > 0) & (counts < rows)
    return np.where(mixed, (rows - counts) / np.maximum(counts, 1), 1.0)


def given(chosen: str, names: Sequence[str]) -> FloatArray:
    """(names,) out of "LABEL=WEIGHT,LABEL=WEIGHT"; 1 for those not named. Raises ConfigError."""
    weights = dict.fromkeys(names, 1.0)
    for part in chosen.split(","):
        name, equals, text = part.rpartition("=")
        name = name.strip()
        if not equals:
            raise ConfigError(
                f"{part!r:.60} is no LABEL=WEIGHT",
                where=_WHERE,
                mend=f"write {BALANCED}, or such as {names[0]}=2",
            )
        if name not in weights:
            near = get_close_matches(name, names, n=1)
            raise ConfigError(
                f"no label {name!r:.60}",
                where=_WHERE,
                mend=f"did you mean {near[0]!r}?" if near else f"there are {listed(names)}",
            )
        try:
            weights[name] = float(text)
        except ValueError:
            weights[name] = math.nan
        if not 0 < weights[name] < math.inf:
            raise ConfigError(
                f"{text.strip()!r:.60} is no weight", where=_WHERE, mend="give one above 0"
            )
    return np.array(list(weights.values()))
