"""Lets benchmarks import bertsmith from this checkout where only torch and transformers are.

Imported before anything of bertsmith. Configs are checked by pydantic and read from TOML; a
benchmark makes them in code, so that where pydantic is missing a stand-in gives them their
defaults and checks nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))


class _Model:
    """Of pydantic's BaseModel: fields with defaults, given by name, and copies with changes."""

    def __init__(self, **values: Any) -> None:
        for kind in reversed(type(self).__mro__):
            for name in vars(kind).get("__annotations__", {}):
                if hasattr(kind, name):
                    setattr(self, name, getattr(kind, name))
        self.__dict__.update(values)

    def model_copy(self, update: dict[str, Any]) -> Any:
        """A copy with the values of `update`."""
        return type(self)(**{**self.__dict__, **update})


def _field(default: Any = None, **checks: Any) -> Any:
    return default


def _validator(**when: str) -> Callable[[Any], Any]:
    return lambda function: function


def _stand_in(name: str, **contents: Any) -> None:
    """Provide a module where there is none."""
    if sys.modules.get(name) or find_spec(name):
        return
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module).update(contents)
    sys.modules[name] = module


_stand_in(
    "pydantic",
    BaseModel=_Model,
    ConfigDict=dict,
    Field=_field,
    ValidationError=ValueError,
    model_validator=_validator,
)
_stand_in("tomli_w")
