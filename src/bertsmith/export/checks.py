"""What every reader of a config.json asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertsmith.errors import ModelError

Json = dict[str, Any]


def read_sizes(content: Json, names: Mapping[str, str], where: Path) -> Json:
    """The values of `names`, ours to theirs, under our names. ModelError for those missing."""
    missing = [theirs for theirs in names.values() if theirs not in content]
    if missing:
        raise ModelError(
            f"lacks {', '.join(missing)}", where=where, mend="use a whole, unchanged model"
        )
    return {ours: content[theirs] for ours, theirs in names.items()}


def require_values(content: Json, known: Mapping[str, tuple[Any, ...]], where: Path) -> None:
    """ModelError where a key has none of the values that we compute; the first is the default."""
    for key, allowed in known.items():
        if content.get(key, allowed[0]) not in allowed:
            raise ModelError(
                f"{key} {content[key]!r} is not supported",
                where=where,
                mend=f"use a model with {allowed[0]!r}",
            )
