"""config.json <-> ModelConfig: what all families have in common.

What a family's config can say and our encoder cannot do is refused by name, never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertsmith.config import MAX_VOCABULARY, ModelConfig
from bertsmith.errors import ConfigError, ModelError
from bertsmith.export.checks import Json
from bertsmith.export.families import FAMILIES
from bertsmith.export.families.base import Family, Kind
from bertsmith.schema import validate

MAX_LABELS = 1 << 20
TAGGERS: tuple[Kind, ...] = ("tagger", "feature_tagger")
PROBLEM_TYPES = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)


@dataclass(frozen=True)
class Description:
    """What a config.json says.

    `kind` is None for a class that we have no network for. `labels` only where its model is a
    classifier of texts or of words, and `problem_type`, one of PROBLEM_TYPES, of texts.
    """

    family: Family
    architecture: str
    kind: Kind | None
    config: ModelConfig
    classifier_dropout: float
    labels: tuple[str, ...] | None
    problem_type: str | None
    pad_token_id: int | None
    extra: Mapping[str, Any]

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a task of ours keeps of its own; see `bertsmith.tasks.base.Task`."""
        settings = self.extra.get("settings")
        return settings if isinstance(settings, dict) else {}


def from_json(content: Json, where: Path) -> Description:
    """Read a config.json. Raises ModelError for anything that we could not compute exactly."""
    if "auto_map" in content:
        raise ModelError(
            "asks for code of its own to be run (auto_map)",
            where=where,
            mend="use a model whose code is part of transformers",
        )
    family = _family(content, where)
    values, rate = family.from_json(content, where)
    try:
        config = validate(ModelConfig, values, where)
    except ConfigError as error:
        raise ModelError(error.what, where=where, mend="use a whole, unchanged model") from None
    if not 1 <= config.vocab_size <= MAX_VOCABULARY:
        raise ModelError(
            f"vocab_size {config.vocab_size} is not between 1 and {MAX_VOCABULARY}",
            where=where,
            mend="use a whole, unchanged model",
        )
    if not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise ModelError(f"classifier_dropout {rate!r} is no rate", where=where)
    pad, extra = content.get("pad_token_id"), content.get("bertsmith")
    architecture = _architecture(content)
    kind = family.kind_of(architecture)
    labels = _labels(content, where) if kind == "classifier" or kind in TAGGERS else None
    return Description(
        family=family,
        architecture=architecture,
        kind=kind,
        config=config,
        classifier_dropout=float(rate),
        labels=labels,
        problem_type=(
            _problem_type(content, len(labels), where) if labels and kind == "classifier" else None
        ),
        pad_token_id=pad if isinstance(pad, int) else None,
        extra=extra if isinstance(extra, dict) else {},
    )


def _family(content: Json, where: Path) -> Family:
    given = content.get("model_type")
    for family in FAMILIES:
        if given == family.name:
            return family
    known = ", ".join(family.name for family in FAMILIES)
    raise ModelError(f"is of model_type {given!r}", where=where, mend=f"use one of {known}")


def _architecture(content: Json) -> str:
    names = content.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else ""


def _labels(content: Json, where: Path) -> tuple[str, ...]:
    by_id = content.get("id2label")
    if by_id is None:  # transformers leaves out what is its default
        count = content.get("num_labels", 2)
        if not isinstance(count, int) or not 1 <= count <= MAX_LABELS:
            raise ModelError(f"num_labels is {count!r}", where=where, mend="name them in id2label")
        return tuple(f"LABEL_{index}" for index in range(count))
    numbers = [str(index) for index in range(len(by_id))] if isinstance(by_id, dict) else []
    if not numbers or set(numbers) != set(by_id):
        raise ModelError("id2label does not number the labels from 0", where=where)
    labels = tuple(by_id[number] for number in numbers)
    if not all(isinstance(label, str) for label in labels):
        raise ModelError("id2label has labels that are not text", where=where)
    return labels


def _problem_type(content: Json, num_labels: int, where: Path) -> str:
    """Where it is not said, one output is a number and several are classes, as transformers
    trains them."""
    given = content.get("problem_type")
    if given is None:
        return "regression" if num_labels == 1 else "single_label_classification"
    if given not in PROBLEM_TYPES:
        raise ModelError(
            f"problem_type {given!r} is not supported",
            where=where,
            mend=f"use a model with one of {', '.join(PROBLEM_TYPES)}",
        )
    if given == "regression" and num_labels > 1:
        raise ModelError(
            f"is a regression of {num_labels} numbers", where=where, mend="use a model of one"
        )
    return str(given)
