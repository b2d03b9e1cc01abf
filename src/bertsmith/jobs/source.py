"""Going on from a model folder: its shape, its weights, and the checksum that proves them.

What a run takes of MODEL, by the neutral names of `bertsmith.export.naming`: every part that
the recipe's network has and the folder has too. A part that the folder lacks (the pair head of
a BERT without one, ELECTRA's two heads over a BERT) is drawn as at the beginning of any run.
ELECTRA's generator is the folder `generator` beside MODEL, where its own runs leave it; without
one it is new, and has MODEL's embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bertsmith.config import ModelConfig, RunConfig, SourceConfig, resolve
from bertsmith.errors import ConfigError, CorpusError, ModelError
from bertsmith.export.huggingface import (
    ModelFolder,
    load_tokenizer,
    networks_of,
    read_model,
)
from bertsmith.export.naming import neutral_name
from bertsmith.export.weights import WEIGHTS
from bertsmith.nn.models import config_of
from bertsmith.recipes.base import Recipe, find
from bertsmith.schema import read_toml, validate
from bertsmith.text.corpus import Corpus
from bertsmith.text.lines import file_sha256

CHOSEN = {"dropout", "attention_dropout", "inner_dropout", "initializer_range", "generator_size"}
"""Of a ModelConfig, what is the run's to choose: no weight has another shape or use for it."""
GENERATOR = "generator"


@dataclass(frozen=True)
class Taken:
    """Which parts of a network came from its source, and which are new."""

    parts: tuple[str, ...]
    new: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        new = f"new: {', '.join(self.new)}" if self.new else "nothing is new"
        return f"taken: {', '.join(self.parts)}; {new}"


def continued(
    defaults: RunConfig, tables: Mapping[str, Any], out: Path | None, where: str | Path
) -> RunConfig:
    """The config of a run that goes on from the model that `tables` name under "source".

    The shape is that model's, and its checksums are written down. Where it is gone, the run
    in `out` that began from it still knows both. Raises ConfigError, naming the keys, where
    `tables` contradict the model; ModelError where the recipe cannot use it.
    """
    given = validate(SourceConfig, tables["source"], where)
    begun = _begun_from(given, out)
    if begun is not None:
        return resolve(
            defaults.model_copy(update={"model": begun.model}),
            tables,
            {"source": begun.model_dump(exclude_none=True)["source"]},
            where=where,
        )
    recipe, model = find(defaults.recipe), read_model(given.model)
    _require_use(recipe, model)
    odd = _contradictions(model.config, tables.get("model"))
    if odd:
        raise ConfigError(
            f"contradicts {model.path}: {', '.join(odd)}",
            where=where,
            mend="leave these keys out, the shape is the model's",
        )
    config = resolve(defaults.model_copy(update={"model": model.config}), tables, where=where)
    sums = {"model_sha256": file_sha256(model.path / WEIGHTS)}
    generator = _generator_of(config)
    if generator is not None:
        sums["generator_sha256"] = file_sha256(generator.path / WEIGHTS)
    for key, found in sums.items():
        if getattr(given, key) not in (None, found):
            raise ConfigError(
                f"source.{key} is not that of the weights in {model.path}",
                where=where,
                mend="give the model that this run began from, or leave the key out",
            )
    return resolve(config, {"source": sums})


def take_weights(recipe: Recipe, config: RunConfig) -> tuple[dict[str, Tensor], Taken]:
    """The run's first weights, fp32, by name, shared ones once: its source's, or new.

    Raises ModelError where the source cannot be read.
    """
    assert config.source is not None
    torch.manual_seed(config.seed)
    network = recipe.model(config.model)
    folders = {"model": read_model(config.source.model), GENERATOR: _generator_of(config)}
    taken: dict[str, bool] = {}
    for name, part in networks_of(network).items():  # the model last: shared tables are its own
        folder, own_config = folders[name], config_of(part)
        for own, tensor in part.state_dict().items():
            neutral = neutral_name(own, own_config)
            head = neutral.partition(".")[0].replace("_", " ")
            label = head if name == "model" else f"{name}'s {head}"
            taken[label] = folder is not None and neutral in folder.state
            if folder is not None and neutral in folder.state:
                tensor.copy_(folder.state[neutral])
    kept = {id(weight) for part in networks_of(network).values() for weight in part.parameters()}
    for own, weight in network.named_parameters():  # a head that no folder holds
        if id(weight) not in kept:
            taken[own.partition(".")[0].replace("_", " ")] = False
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    return weights, Taken(
        tuple(part for part, is_taken in taken.items() if is_taken),
        tuple(part for part, is_taken in taken.items() if not is_taken),
    )


def check_tokenizer(source: SourceConfig, corpus: Corpus) -> None:
    """CorpusError where `corpus` was made by another tokenizer than the source's, while that
    is there."""
    folder = Path(source.model)
    if folder.is_dir() and load_tokenizer(folder).fingerprint != corpus.tokenizer_fingerprint:
        raise CorpusError(
            f"made by another tokenizer than that of {folder}",
            where=corpus.folder,
            mend=f"make one with `bertsmith corpus build --tokenizer {folder}`",
        )


def shown_name(model: str) -> str:
    """A model's folder in short, for people: in a run folder it is always called model."""
    return "/".join(Path(model).parts[-2:])


def _begun_from(given: SourceConfig, out: Path | None) -> RunConfig | None:
    """The config of the run in `out`, where it began from a model that is gone by now."""
    if out is None or Path(given.model).exists() or not (out / "config.toml").is_file():
        return None
    begun = validate(RunConfig, read_toml(out / "config.toml"), out / "config.toml")
    same = begun.source is not None and begun.source.model == given.model
    return begun if same else None


def _require_use(recipe: Recipe, model: ModelFolder) -> None:
    """ModelError where `model` has not what the recipe's network is made of, or reads another way:
    who sees the next token has nothing to learn from being asked for it."""
    if recipe.config.model.causal != model.config.causal:
        way = "from left to right" if model.config.causal else "both ways"
        raise ModelError(
            f"reads {way}, which a network of the recipe {recipe.config.recipe!r} does not",
            where=model.path,
            mend="choose another recipe or another model",
        )
    wanted = _network(recipe, recipe.config.model)
    parts = {neutral_name(own, recipe.config.model).partition(".")[0] for own in wanted}
    for part in ("encoder", "decoder", "input"):
        if (part in parts) != model.has(part):
            name = recipe.config.recipe
            raise ModelError(
                f"has no {part}, which the recipe {name!r} trains"
                if part in parts
                else f"has a part {part!r} that the recipe {name!r} does not train",
                where=model.path,
                mend="choose another recipe or another model",
            )


def _network(recipe: Recipe, config: ModelConfig) -> dict[str, Tensor]:
    """The state of the network that a run leaves as its "model", without memory."""
    with torch.device("meta"):
        state: dict[str, Tensor] = networks_of(recipe.model(config))["model"].state_dict()
    return state


def _generator_of(config: RunConfig) -> ModelFolder | None:
    """The generator beside the source, where the recipe has one and it is there.

    Raises ConfigError where it is of another shape than the run's.
    """
    assert config.source is not None
    folder = Path(config.source.model).resolve().parent / GENERATOR
    with torch.device("meta"):
        networks = networks_of(find(config.recipe).model(config.model))
    if GENERATOR not in networks or not folder.is_dir():
        return None
    found = read_model(folder)
    odd = _contradictions(found.config, config_of(networks[GENERATOR]).model_dump())
    if odd:
        raise ConfigError(
            f"{config.model.generator_size:g} makes another generator than the one beside the "
            f"source: {', '.join(odd)}",
            where="model.generator_size",
            mend="give the share that it was made with",
        )
    return found


def _contradictions(model: ModelConfig, wanted: object) -> list[str]:
    """The keys of `wanted` that say something else than `model`, with both values."""
    values = model.model_dump()
    given = wanted if isinstance(wanted, Mapping) else {}
    return [
        f"model.{key} is {given[key]!r}, there {values[key]!r}"
        for key in given
        if key in values and key not in CHOSEN and given[key] != values[key]
    ]
