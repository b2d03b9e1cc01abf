"""sentence-transformers' folders, in and out: a model folder, and how its tokens become one vector.

    modules.json                        the steps, in order
    config.json, model.safetensors ...  Transformer: the model folder, or one inside it
    sentence_bert_config.json           its max_seq_length
    1_Pooling/config.json               Pooling: [CLS], mean or max of the last layer
    2_Dense/config.json, .safetensors   Dense: linear maps, with tanh or without; may be missing
    3_Normalize/                        Normalize: to length one; may be missing

Any other step is refused by name: what a folder can say and we cannot do is never ignored.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import from_numpy

from bertsmith.engine.tensors import write_tensors
from bertsmith.errors import ModelError
from bertsmith.export.checks import Json, require_values
from bertsmith.export.families import family_of, own
from bertsmith.export.folder import CONFIG, ModelFolder, load_tokenizer, read_model
from bertsmith.export.huggingface import save_model
from bertsmith.export.networks import load_encoder
from bertsmith.export.weights import PICKLE, WEIGHTS, pickled
from bertsmith.files import check_replaceable, replace_folder, require_plain_file
from bertsmith.nn.sentence import KINDS, Pooling, PoolingKind, Projection, SentenceEncoder
from bertsmith.schema import read_json, read_json_object
from bertsmith.text.tokenizer import Tokenizer
from bertsmith.text.tokenizer_files import CONFIG as TOKENIZER_CONFIG

MODULES = "modules.json"
LENGTHS = "sentence_bert_config.json"
_LENGTHS = (
    LENGTHS,
    *(
        f"sentence_{family}_config.json"
        for family in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    ),
)
"""Names of older versions, too; the first that is there holds."""
SETTINGS = "config_sentence_transformers.json"
LONGEST = 512
"""Tokens of a text, where nothing says how many the model was trained on."""
_MAX_BYTES = 1 << 30
_MAX_JSON_BYTES = 1 << 20
_OTHER_MODES = ("mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
"""Of pooling, by their older keys; we have none of them."""
_TEXT_TYPE = "sentence_transformers.models."
"""The modules' names that every version of sentence-transformers reads."""
_ACTIVATIONS = {"Tanh": True, "Identity": False}
_SETTINGS = {"default_prompt_name": (None,), "truncate_dim": (None,)}
"""For `require_values`: of the whole ..."""
_TRANSFORMER: dict[str, tuple[Any, ...]] = {
    "do_lower_case": (False,),
    "transformer_task": ("feature-extraction",),
    "modality_config": (
        {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    ),
    "module_output_name": ("token_embeddings",),
    **dict.fromkeys(
        ("tokenizer_args", "processor_kwargs", "config_args", "config_kwargs", "processing_kwargs"),
        ({}, None),
    ),
}
"""... of the Transformer step ..."""
_ON_SENTENCES: dict[str, tuple[Any, ...]] = {
    "module_input_name": ("sentence_embedding",),
    "module_output_name": ("sentence_embedding", None),
}
"""... and of those after Pooling."""


@dataclass(frozen=True)
class SentenceFolder:
    """A model, and what is done to its token vectors: pooled, projected, normalised."""

    source: ModelFolder
    pooling: Pooling
    projections: tuple[Projection, ...]
    normalise: bool
    max_length: int

    def load(self, pooling: Pooling) -> tuple[SentenceEncoder, Tokenizer]:
        """The network with `pooling`, in evaluation mode, and its tokenizer."""
        network = SentenceEncoder(load_encoder(self.source), pooling)
        return network.eval(), load_tokenizer(self.source)


def read_sentence_folder(folder: str | Path) -> SentenceFolder:
    """Read a folder of sentence-transformers; of any other model: the mean, not normalised.

    Raises ModelError for a folder that cannot be read, or has a step that we do not compute.
    """
    folder = Path(folder)
    if not is_sentence_folder(folder):
        source = read_model(folder)
        known = source.extra.get("max_length")
        return _folder(source, Pooling(), known if isinstance(known, int) else LONGEST)
    steps = _read_steps(folder)
    kinds = [kind for kind, _ in steps]
    dense = len(kinds) - 2 - (kinds[-1] == "Normalize")
    expected = ["Transformer", "Pooling", *["Dense"] * dense, "Normalize"][: len(kinds)]
    if kinds != expected:
        raise ModelError(
            f"the steps {', '.join(kinds)} are not computed here",
            where=folder / MODULES,
            mend="use a model of Transformer, Pooling and perhaps Dense and Normalize",
        )
    if (folder / SETTINGS).exists():
        require_values(_read(folder / SETTINGS), _SETTINGS, folder / SETTINGS)
    base = steps[0][1]
    source = read_model(base)
    hidden = source.config.hidden_size
    projections = []
    for kind, path in steps[2:]:
        if (path / CONFIG).exists():
            require_values(_read(path / CONFIG), _ON_SENTENCES, path / CONFIG)
        if kind == "Dense":
            projections.append(_read_dense(path, hidden))
            hidden = len(projections[-1].bias)
    return _folder(
        source,
        _read_pooling(steps[1][1] / CONFIG),
        _read_length(base, source.config.max_position_embeddings),
        projections,
        normalise=kinds[-1] == "Normalize",
    )


def is_sentence_folder(folder: Path) -> bool:
    """Whether sentence-transformers' steps are told in it."""
    return (folder / MODULES).exists()


def _folder(
    source: ModelFolder,
    pooling: Pooling,
    max_length: int,
    projections: Sequence[Projection] = (),
    normalise: bool = False,
) -> SentenceFolder:
    longest = min(max_length, source.config.max_position_embeddings)
    return SentenceFolder(source, pooling, tuple(projections), normalise, longest)


def _read_steps(folder: Path) -> list[tuple[str, Path]]:
    """The class of each step, without its module, and its folder."""
    path = folder / MODULES
    require_plain_file(path, _MAX_JSON_BYTES, ModelError)
    listed = read_json(path, ModelError)
    steps = []
    for step in listed if isinstance(listed, list) else [None]:
        kind, inside = (
            step.get(key) if isinstance(step, dict) else None for key in ("type", "path")
        )
        if not isinstance(kind, str) or not isinstance(inside, str):
            raise ModelError("is no list of modules", where=path, mend="copy it again")
        if inside and (inside == ".." or "\0" in inside or inside != Path(inside).name):
            raise ModelError(f"names the folder {inside!r} outside of its own", where=path)
        steps.append((kind.rpartition(".")[2], folder / inside))
    if len(steps) < 2:
        raise ModelError("has fewer than two modules", where=path, mend="copy it again")
    return steps


def _read_pooling(path: Path) -> Pooling:
    content = _read(path)
    require_values(content, {"include_prompt": (True,)}, path)
    modes = content.get("pooling_mode")
    if modes is None:
        old = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
        old |= {mode: mode for mode in _OTHER_MODES}
        modes = [mode for mode, key in old.items() if content.get(f"pooling_mode_{key}") is True]
    modes = [modes] if isinstance(modes, str) else modes
    if not isinstance(modes, list) or len(modes) != 1 or modes[0] not in KINDS:
        raise ModelError(
            f"the pooling {modes!r} is not computed here",
            where=path,
            mend=f"use a model with one of {', '.join(KINDS)}",
        )
    kind: PoolingKind = modes[0]
    return Pooling(kind)


def _read_length(base: Path, longest: int) -> int:
    """`max_seq_length`, else what the tokenizer says, else `longest`."""
    path = next((base / name for name in _LENGTHS if (base / name).exists()), base / LENGTHS)
    for where, key in ((path, "max_seq_length"), (base / TOKENIZER_CONFIG, "model_max_length")):
        content = _read(where) if where.exists() else {}
        if where == path:
            require_values(content, _TRANSFORMER, path)
        if isinstance(content.get(key), int) and content[key] > 0:
            return int(content[key])
    return longest


def _read_dense(folder: Path, size: int) -> Projection:
    path = folder / CONFIG
    content = _read(path)
    activation = str(content.get("activation_function", "")).rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        raise ModelError(
            f"the activation {activation!r} is not computed here",
            where=path,
            mend=f"use a model with {' or '.join(_ACTIVATIONS)}",
        )
    require_values(content, {"use_residual": (False,)}, path)
    weights = folder / WEIGHTS
    if not weights.exists() and (folder / PICKLE).exists():
        raise pickled(folder, PICKLE)
    require_plain_file(weights, _MAX_BYTES, ModelError)
    try:
        tensors = {name: part.float().numpy() for name, part in load_file(weights).items()}
        weight = tensors["linear.weight"]
        bias = tensors.get("linear.bias", 0 * weight[:, 0])
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise ModelError(f"cannot be read ({error})", where=weights, mend="copy it again") from None
    if weight.ndim != 2 or weight.shape[1] != size or bias.shape != weight.shape[:1]:
        raise ModelError(
            f"maps {list(weight.shape)} vectors of {size} numbers",
            where=weights,
            mend="use a whole, unchanged model",
        )
    return Projection(weight, bias, _ACTIVATIONS[activation])


def _read(path: Path) -> Json:
    require_plain_file(path, _MAX_JSON_BYTES, ModelError)
    return read_json_object(path, ModelError)


def save_sentence_encoder(
    folder: str | Path,
    network: SentenceEncoder,
    tokenizer: Tokenizer,
    *,
    max_length: int,
    projections: Sequence[Projection] = (),
    normalise: bool = False,
) -> None:
    """Write a folder that `SentenceTransformer(folder)` computes the same vectors from.

    Whole or not at all; an older model there is replaced. Raises ModelError as `require_savable`
    does.
    """
    folder = Path(folder)
    require_savable(folder, network)
    with replace_folder(folder, holds=CONFIG, error=ModelError) as temporary:
        save_model(temporary, network, tokenizer, card=_card(folder.resolve().name))
        size = network.encoder.config.hidden_size
        write_steps(temporary, network.pooling, size, max_length, projections, normalise)


def write_steps(
    folder: Path,
    pooling: Pooling,
    size: int,
    max_length: int,
    projections: Sequence[Projection] = (),
    normalise: bool = False,
) -> None:
    """Make the model folder `folder`, of vectors of `size`, one of sentence-transformers."""
    steps = ["Pooling", *["Dense"] * len(projections), *["Normalize"] * normalise]
    inside = ["", *(f"{number}_{kind}" for number, kind in enumerate(steps, 1))]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": _TEXT_TYPE + kind}
        for index, (kind, path) in enumerate(zip(["Transformer", *steps], inside, strict=True))
    ]
    _write(folder / MODULES, modules)
    _write(folder / LENGTHS, {"max_seq_length": max_length, "do_lower_case": False})
    for path in inside[1:]:
        (folder / path).mkdir()
    _write(folder / inside[1] / CONFIG, _pooling_config(pooling.kind, size))
    for path, projection in zip(inside[2:], projections, strict=False):
        _write_dense(folder / path, projection)


def require_savable(folder: Path, network: SentenceEncoder) -> None:
    """ModelError where `network` cannot be saved as `folder`: other layers than the last are read,
    for which that format has no words, or transformers has no such encoder."""
    if network.pooling.layers:
        raise ModelError(
            "sentence-transformers read the last layer alone, and these vectors read "
            + ", ".join(map(str, network.pooling.layers)),
            where=folder,
            mend="save vectors of the last layer",
        )
    if family_of(network.encoder.config, "encoder") is own.FAMILY:
        raise ModelError(
            "sentence-transformers read encoders that transformers has, and this is none",
            where=folder,
            mend="keep its vectors alone",
        )
    check_replaceable(folder, CONFIG, ModelError)


def _pooling_config(pooling: PoolingKind, size: int) -> Mapping[str, Any]:
    return {
        "word_embedding_dimension": size,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_max_tokens": pooling == "max",
        "pooling_mode_mean_sqrt_len_tokens": False,
    }


def _write_dense(folder: Path, projection: Projection) -> None:
    activation = "activation.Tanh" if projection.is_tanh else "linear.Identity"
    config = {
        "in_features": projection.weight.shape[1],
        "out_features": projection.weight.shape[0],
        "bias": True,
        "activation_function": f"torch.nn.modules.{activation}",
    }
    _write(folder / CONFIG, config)
    tensors = {"linear.weight": projection.weight, "linear.bias": projection.bias}
    write_tensors(folder / WEIGHTS, {name: from_numpy(part) for name, part in tensors.items()})


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _card(name: str) -> str:
    in_python = json.dumps(name, ensure_ascii=False)
    return f"""---
# license: to be chosen by whoever publishes this model
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- bertsmith
---

# {name}

Sentence vectors, made with bertsmith.

## Use

```sh
bertsmith embed {shlex.quote(name)} texts.txt --out texts.npy
```

```python
from sentence_transformers import SentenceTransformer

vectors = SentenceTransformer({in_python}).encode(["a text", "another one"])
```
"""
