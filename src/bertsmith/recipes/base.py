"""What a recipe is: five slots, and a way to find one by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from torch import nn

from bertsmith.config import DataConfig, ModelConfig, RunConfig
from bertsmith.data.examples import CorpusSource
from bertsmith.data.segments import Segments, Vocabulary
from bertsmith.engine.train import Loss
from bertsmith.errors import ConfigError
from bertsmith.text.corpus import Corpus
from bertsmith.types import Example, IntArray, Segment


@dataclass(frozen=True)
class Recipe:
    """A member of the lineage: how its paper fills the five slots."""

    citation: str
    config: RunConfig
    """The published values, where this toolkit's sizes do not ask for others."""
    tokenizer: Mapping[str, Any]
    """Arguments of `train_tokenizer`."""
    segments: Callable[[Corpus, IntArray, DataConfig, int, int], Segments]
    """(corpus, token ranges, config, seed, epoch) -> the epoch's segments."""
    corrupt: Callable[[Segment, np.random.Generator, Vocabulary, DataConfig], Example]
    model: Callable[[ModelConfig], nn.Module]
    loss: Loss
    """Its named scalars are means that add up over the shares of a batch, or of an evaluation."""
    scores: Callable[[Mapping[str, float]], Mapping[str, float]] = dict
    """What is told of the named scalars, once they are added up."""

    def source(
        self, corpus: Corpus, vocabulary: Vocabulary, ranges: IntArray, config: RunConfig, seed: int
    ) -> CorpusSource:
        """The recipe's examples out of the `ranges` of `corpus`."""
        return CorpusSource(
            corpus,
            vocabulary,
            lambda epoch: self.segments(corpus, ranges, config.data, seed, epoch),
            lambda segment, generator, progress: self.corrupt(
                segment, generator, vocabulary, config.data.at(progress)
            ),
            seed,
        )


def find(name: str) -> Recipe:
    """The RECIPE of `bertsmith.recipes.NAME`. Raises ConfigError, listing those there are."""
    names = recipe_names()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
        raise ConfigError(f"no recipe {name!r}", where="recipe", mend=hint)
    recipe = importlib.import_module(f"bertsmith.recipes.{name}").RECIPE
    assert isinstance(recipe, Recipe)
    return recipe


def recipe_names() -> list[str]:
    """The recipes there are: one a file of this folder."""
    folder = importlib.import_module("bertsmith.recipes").__path__
    return sorted(module.name for module in pkgutil.iter_modules(folder) if module.name != "base")
