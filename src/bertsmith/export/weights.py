"""Tensors in a model folder: safetensors only, checked against the config before any is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bertsmith.engine.tensors import write_tensors
from bertsmith.errors import ModelError
from bertsmith.export.configs import TAGGERS, Description
from bertsmith.export.families.base import Family, Kind
from bertsmith.export.naming import (
    WORD_EMBEDDING,
    Shape,
    disk_names,
    is_encoder,
    missing_twins,
    part_shapes,
    tagger_shapes,
    today_names,
    word2vec_shapes,
)

WEIGHTS = "model.safetensors"
INDISPENSABLE = ("encoder", "input", "output")
"""Parts that must be in every file of a network that has them."""
_FLOATS = ("F64", "F32", "F16", "BF16")
PICKLE = "pytorch_model.bin"
_PICKLES = (PICKLE, "pytorch_model.bin.index.json", "model.pt", "model.ckpt")


def write_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write `state` as fp32. Raises OSError where the disk refuses."""
    plain = {name: tensor.detach().to(torch.float32) for name, tensor in state.items()}
    write_tensors(path, plain, metadata={"format": "pt"})


def disk_state(state: Mapping[str, Tensor], family: Family, kind: Kind | None) -> dict[str, Tensor]:
    """`state`, under neutral names, as a folder of `family` with a network of `kind` has it."""
    named: dict[str, Tensor] = {}
    for neutral, tensor in state.items():
        names = disk_names(neutral, family, kind)
        named |= zip(names, tensor.chunk(len(names)), strict=True)
    if "untied.weight" in state:
        named |= {twin: named[name].clone() for twin, name in missing_twins(named).items()}
    return named


def read_tensors(folder: Path, described: Description) -> dict[str, Tensor]:
    """The tensors of a model folder under their neutral names, fp32.

    Whole parts only: the encoder (or word2vec's tables) always, each head where the file has
    it. Nothing is allocated before every name, shape and type agrees with `described`; after
    that, what can be is a view of the memory-mapped file. Raises ModelError.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise _no_weights(folder)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return _read(file, path, described)
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror})", where=path) from None
    except SafetensorError as error:
        raise ModelError(
            f"is not a whole safetensors file ({error})", where=path, mend="copy it again"
        ) from None


def _read(file: Any, path: Path, described: Description) -> dict[str, Tensor]:
    family, kind = described.family, described.kind
    stored = today_names(file.keys(), family)
    plan = _plan(stored, described, path)
    for neutral, shape in plan.items():
        names = disk_names(neutral, family, kind)
        rows = shape[0] // len(names)
        for name in names:
            _check(file, stored[name], (rows, *shape[1:]), path)
    _check_copies(file, stored, plan, family, path)
    return {
        neutral: _join([file.get_tensor(stored[n]) for n in disk_names(neutral, family, kind)])
        for neutral in plan
    }


def _check_copies(
    file: Any, stored: Mapping[str, str], plan: Mapping[str, Shape], family: Family, path: Path
) -> None:
    """ModelError where a network that says words has another matrix for it than its embedding."""
    if not any(name.startswith(("vocabulary.", "decoder.")) for name in plan):
        return
    for copy in family.copies:
        if copy not in stored:
            continue
        _check(file, stored[copy], plan[WORD_EMBEDDING], path)
        embedding = file.get_tensor(stored[disk_names(WORD_EMBEDDING, family, None)[0]])
        if not torch.equal(file.get_tensor(stored[copy]), embedding):
            raise ModelError(
                "has an output matrix that is not the word embedding",
                where=path,
                mend="use a model with tied embeddings",
            )


def _plan(stored: Mapping[str, str], described: Description, path: Path) -> dict[str, Shape]:
    """Neutral name -> shape of every tensor to be read. Raises ModelError for those missing."""
    family, kind, config = described.family, described.kind, described.config
    shapes = word2vec_shapes(config) if kind == "word_vectors" else part_shapes(config)
    if described.labels is not None and kind in TAGGERS:
        shapes |= _tagger_shapes(described, path)
    head, outputs = {
        "classifier": ("classifier", len(described.labels or ())),
        "choice": ("classifier", 1),
        "span": ("span", 2),
    }.get(kind or "", ("", 0))
    if head:
        shapes[f"{head}.weight"] = (outputs, config.hidden_size)
        shapes[f"{head}.bias"] = (outputs,)
    parts: dict[str, dict[str, Shape]] = {}
    for neutral, shape in shapes.items():
        parts.setdefault(neutral.partition(".")[0], {})[neutral] = shape
    plan: dict[str, Shape] = {}
    for part, tensors in parts.items():
        names = [name for neutral in tensors for name in disk_names(neutral, family, kind)]
        missing = [name for name in names if name not in stored]
        if part in INDISPENSABLE or len(missing) < len(names):
            if missing:
                raise ModelError(
                    f"lacks {_listed(missing)}", where=path, mend="use a whole, unchanged model"
                )
            plan.update(tensors)
    wanted = {name for neutral in plan for name in disk_names(neutral, family, kind)}
    strange = [name for name in stored if is_encoder(name, family) and name not in wanted]
    if strange:
        raise ModelError(
            f"has tensors that config.json knows nothing of: {_listed(strange)}",
            where=path,
            mend="use the config.json that was saved with it",
        )
    return plan


def _tagger_shapes(described: Description, path: Path) -> dict[str, Shape]:
    assert described.labels is not None
    settings = described.settings
    try:
        return tagger_shapes(described.config, len(described.labels), settings)
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"has settings of no tagger ({error})",
            where=path.with_name("config.json"),
            mend="use a whole, unchanged model",
        ) from None


def _check(file: Any, name: str, expected: Shape, path: Path) -> None:
    part = file.get_slice(name)
    shape, kind = tuple(part.get_shape()), part.get_dtype()
    if shape != expected:
        raise ModelError(
            f"{name} has the shape {list(shape)}, where config.json says {list(expected)}",
            where=path,
            mend="use the config.json that was saved with it",
        )
    if kind not in _FLOATS:
        raise ModelError(
            f"{name} is of type {kind}", where=path, mend="use a model that is not quantised"
        )


def _join(parts: list[Tensor]) -> Tensor:
    floats = [part.to(torch.float32) for part in parts]
    return floats[0] if len(floats) == 1 else torch.cat(floats)


def _listed(names: list[str], most: int = 3) -> str:
    further = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + further


def _no_weights(folder: Path) -> ModelError:
    if (folder / f"{WEIGHTS}.index.json").exists():
        return ModelError(
            "has its weights in several files", where=folder, mend="save it again as one file"
        )
    found = [name for name in _PICKLES if (folder / name).exists()]
    if found:
        return pickled(folder, found[0])
    return ModelError(f"has no {WEIGHTS}", where=folder, mend="give the folder of a saved model")


def pickled(folder: Path, name: str) -> ModelError:
    """What to raise where `folder` has but the pickle `name`."""
    return ModelError(
        f"has its weights only as a pickle ({name}), which can run code when it is read",
        where=folder,
        mend=f"convert it to {WEIGHTS}",
    )
