"""The families of networks that a model folder can be of: one family, one file.

A new family is a file with a `Family` and its place in FAMILIES; a new head is a `Kind` with its
class in each family that has one, and its network in `bertsmith.export.networks`.
"""

from __future__ import annotations

from bertsmith.config import ModelConfig
from bertsmith.export.families import (
    albert,
    bert,
    distilbert,
    electra,
    modernbert,
    own,
    roberta,
    t5,
)
from bertsmith.export.families.base import Family, Kind

FAMILIES: tuple[Family, ...] = (
    bert.FAMILY,
    albert.FAMILY,
    electra.FAMILY,
    roberta.FAMILY,
    distilbert.FAMILY,
    modernbert.FAMILY,
    t5.FAMILY,
    own.FAMILY,
)
"""The first that computes what a config says is the one that it is written as; ours does all."""


def family_of(config: ModelConfig, kind: Kind) -> Family:
    """The family that computes exactly what `config` says and has a network of `kind`."""
    first = next(family for family in FAMILIES if family.computes(config))
    return first if kind in first.architectures else own.FAMILY


def find_family(name: str) -> Family:
    """The family of that model_type, one that a folder was read as."""
    return next(family for family in FAMILIES if family.name == name)
