"""Tables that come from outside, as frozen classes: run files, saved states, manifests.

A `Config` is closed to keys that it does not know. `validate` reports every problem of a table
in one error, unknown keys with the nearest known one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from bertsmith.errors import BertsmithError, ConfigError

C = TypeVar("C", bound="Config")


class Config(BaseModel):
    """Frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_toml(self) -> str:
        """The whole config as TOML; None, which TOML lacks, is left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def validate(kind: type[C], tables: Mapping[str, Any], where: str | Path = "") -> C:
    """`tables` as a `kind`. Raises one ConfigError that names every problem."""
    try:
        return kind.model_validate(tables)
    except ValidationError as error:
        problems = [_problem(kind, dict(item)) for item in error.errors()]
    raise ConfigError("; ".join(problems), where=where)


def _problem(kind: type[Config], item: Mapping[str, Any]) -> str:
    location = [str(part) for part in item["loc"]]
    key = ".".join(location)
    if item["type"] == "extra_forbidden":
        known = _known_keys(kind, location[:-1])
        near = get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        return f"unknown key {key!r}, {hint}"
    message = item["msg"].removeprefix("Value error, ")
    given = item.get("input")
    shown = f" (got {json.dumps(given)})" if isinstance(given, str | int | float) else ""
    return f"{key}: {message}{shown}" if key else message


def _known_keys(kind: type[BaseModel], parents: list[str]) -> list[str]:
    for parent in parents:
        if parent.isdigit():  # the place in a list of tables, which was gone into already
            continue
        nested = kind.model_fields[parent].annotation
        if not isinstance(nested, type):  # a tuple of tables, or a table or None
            nested = get_args(nested)[0]
        assert isinstance(nested, type)
        assert issubclass(nested, BaseModel)
        kind = nested
    return list(kind.model_fields)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, a BOM dropped. Raises ConfigError where it cannot be read or
    parsed."""
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError("no such file", where=path, mend="give the path of a run file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read ({error})", where=path) from None
    except (ValueError, RecursionError) as error:  # also of a number of thousands of digits
        raise ConfigError(f"is not valid TOML: {error}", where=path, mend="correct it") from None


def read_json(path: Path, error: type[BertsmithError]) -> Any:
    """What a JSON file holds. Raises `error` where it cannot be read or parsed."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as refused:
        raise error(f"cannot be read ({refused.strerror})", where=path) from None
    except (ValueError, RecursionError) as wrong:
        raise error(f"is not JSON ({wrong})", where=path, mend="copy it again") from None


def read_json_object(path: Path, error: type[BertsmithError]) -> dict[str, Any]:
    """As `read_json`, of a file that holds keys and values."""
    content = read_json(path, error)
    if not isinstance(content, dict):
        raise error("is not a JSON object", where=path, mend="copy it again")
    return content


def parse_assignments(pairs: Iterable[str]) -> dict[str, Any]:
    """`["optim.lr=1e-4", ...]` as nested tables; a value is TOML, or else a plain string."""
    tables: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"{pair!r} is not key=value", where="--set", mend="write --set a.b=1")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            value = text
        *parents, last = key.strip().split(".")
        table = tables
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{parent!r} is a value, not a table", where=f"--set {pair}")
        table[last] = value
    return tables
