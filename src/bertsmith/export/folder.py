"""A model folder as read: everything checked, nothing assembled yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bertsmith.config import ModelConfig
from bertsmith.errors import ModelError
from bertsmith.export.configs import from_json
from bertsmith.export.families.base import Kind
from bertsmith.export.weights import read_tensors
from bertsmith.schema import read_json_object
from bertsmith.text.tokenizer import Tokenizer

CONFIG = "config.json"
_MAX_CONFIG_BYTES = 16 << 20


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder holds.

    `family` is the model_type of its config.json. `state` holds neutral names (see
    `bertsmith.export.naming`): the encoder, and each head that the folder has. `kind` is None
    where only its encoder can be read.
    """

    path: Path
    family: str
    architecture: str
    kind: Kind | None
    config: ModelConfig
    state: Mapping[str, Tensor]
    labels: tuple[str, ...] | None
    problem_type: str | None
    classifier_dropout: float
    pad_token_id: int | None
    extra: Mapping[str, Any]

    @property
    def tokenizer_folder(self) -> Path:
        """Where the tokenizer is: in the same folder."""
        return self.path

    def has(self, part: str) -> bool:
        """Whether a part is there, by its neutral name: "pooler", "transform" ..."""
        return any(name.startswith(f"{part}.") for name in self.state)

    def lacks(self, head: str, mend: str) -> ModelError:
        """What to raise where there is no `head`."""
        kind = self.architecture or f"{self.family} encoder"
        return ModelError(f"has no {head}: it is a {kind}", where=self.path, mend=mend)


def read_model(folder: str | Path) -> ModelFolder:
    """Read a model folder of ours or of transformers.

    Raises ModelError, in one line, for a folder that is missing, cut, hostile or of another
    kind, before any tensor is allocated.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(
            "no such model folder", where=folder, mend="give the folder of a saved model"
        )
    path = folder / CONFIG
    described = from_json(_read_config(path), path)
    state = read_tensors(folder, described)
    classifies = "classifier.weight" in state
    return ModelFolder(
        path=folder,
        family=described.family.name,
        architecture=described.architecture,
        kind=described.kind,
        config=described.config,
        state=state,
        labels=described.labels if classifies else None,
        problem_type=described.problem_type if classifies else None,
        classifier_dropout=described.classifier_dropout,
        pad_token_id=described.pad_token_id,
        extra=described.extra,
    )


def load_tokenizer(folder: str | Path | ModelFolder) -> Tokenizer:
    """The tokenizer that the model was trained with.

    Raises TokenizerError, and ModelError where it has more tokens than a ModelFolder's model.
    """
    if not isinstance(folder, ModelFolder):
        return Tokenizer.load(folder)
    tokenizer = Tokenizer.load(folder.tokenizer_folder)
    require_fit(tokenizer, folder.config, folder.path, "copy the tokenizer of this model into it")
    return tokenizer


def require_fit(tokenizer: Tokenizer, config: ModelConfig, where: Path, mend: str) -> None:
    """ModelError where `tokenizer` has more tokens than a model of `config`, or other padding."""
    if tokenizer.vocab_size > config.vocab_size:
        raise ModelError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model {config.vocab_size}",
            where=where,
            mend=mend,
        )
    if config.position_offset not in (0, tokenizer.pad_id + 1):
        raise ModelError(
            f"the tokenizer pads with {tokenizer.pad_id}, the model with "
            f"{config.position_offset - 1}",
            where=where,
            mend=mend,
        )


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(
            f"has no {CONFIG}", where=path.parent, mend="give the folder of a saved model"
        )
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise ModelError("is too large for a config", where=path, mend="use an unchanged model")
    return read_json_object(path, ModelError)
