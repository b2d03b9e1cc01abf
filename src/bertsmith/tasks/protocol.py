"""How a classifier is trained, and what is chosen where nothing is said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from bertsmith.config import ModelConfig, OptimConfig
from bertsmith.errors import ConfigError
from bertsmith.schema import Config, validate

MIN_STEPS = 300
"""Optimizer steps that even the smallest training set gets (Mosbach et al. 2021)."""


class Protocol(Config):
    """Devlin et al. 2019, section 4.1 and appendix A.3: AdamW, warm-up, linear decay."""

    epochs: int = Field(3, ge=1)
    batch_size: int = Field(32, ge=1, le=1 << 20)
    """Sequences of an optimizer step."""
    lr: float = Field(5e-5, gt=0)
    """Peak learning rate."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of the steps over which the rate rises from 0."""
    weight_decay: float = Field(0.01, ge=0)
    eps: float = Field(1e-6, gt=0)
    """Adam's, as BERT's code has it; torch's, and so transformers' Trainer's, is 1e-8."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """In the encoder, its attention and before the classifier."""
    max_length: int = Field(128, ge=4)
    """Tokens of a sequence; longer texts are cut."""
    grad_clip: float = Field(1.0, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    """What each layer's rate is of the rate of the one above (see `bertsmith.nn.depth`); as
    all that spares what pre-training left, not for random weights."""
    unfreeze: int = Field(0, ge=0)
    """Layers that begin to be trained with each epoch, from the top; the first epoch is the
    head's alone. 0: all are trained from the start. ULMFiT's is 1 (Howard & Ruder 2018,
    section 3.3)."""
    patience: int = Field(0, ge=0)
    """Evaluations without a better dev score after which a run stops; the best weights are kept.
    0: a run goes to its end, and the last ones are kept."""
    class_weights: str = ""
    """"balanced", or LABEL=WEIGHT with commas between; empty: all classes weigh the same."""
    threshold: str = ""
    """The metric that a threshold on probabilities is chosen by; empty: it is 1/2."""
    threshold_share: float = Field(0.0, ge=0, lt=1)
    """Share of the training rows that are held out of training to choose it on; 0: it is chosen
    on the dev set, whose scores are then after that choice."""

    def caveats(self) -> list[str]:
        """What the dev set decided, so that its scores are after that choice."""
        said = []
        if self.patience:
            said.append("The weights are those of the best dev score, which is after that choice.")
        if self.threshold and not self.threshold_share:
            said.append("The threshold was chosen on the dev set, whose scores are after it.")
        return said

    def for_random_weights(self) -> Protocol:
        """Without what only spares pre-trained ones."""
        return self.model_copy(update={"layer_decay": 1.0, "unfreeze": 0})

    def optim(self) -> OptimConfig:
        """The optimizer's part."""
        return OptimConfig(
            name="adamw",
            lr=self.lr,
            beta2=0.999,
            eps=self.eps,
            weight_decay=self.weight_decay,
            grad_clip=self.grad_clip,
            warmup=self.warmup,
            decay="linear",
        )

    def steps(self, examples: int) -> int:
        """Optimizer steps of a whole run."""
        return self.epochs * math.ceil(examples / self.batch_size)


def choose_protocol(
    model: ModelConfig, train_examples: int, usual: Mapping[str, Any] | None = None, **given: Any
) -> Protocol:
    """`given` where it is not None, else what suits the model and the amount of data.

    The rate falls with the hidden size: 1e-3 for 128 (measured: docs/results.md), 2.9e-4 for
    256, 4e-5 for BERT-base's 768 (the middle of the paper's 2e-5 to 5e-5). Three epochs, or
    as many more as MIN_STEPS takes. `usual` are a task's own values in their place. Raises
    ConfigError for values that make no sense.
    """
    usual = usual or {}
    chosen = {key: value for key, value in given.items() if value is not None}
    batch_size = chosen.get("batch_size", usual.get("batch_size", 32))
    steps_per_epoch = max(1, math.ceil(train_examples / max(1, batch_size)))
    defaults = {
        "lr": default_lr(model.hidden_size),
        **usual,
        "epochs": max(usual.get("epochs", 3), math.ceil(MIN_STEPS / steps_per_epoch)),
        "max_length": min(usual.get("max_length", 128), model.max_position_embeddings),
    }
    protocol = validate(Protocol, defaults | chosen, where="fine-tuning")
    _require_fit(protocol, model)
    return protocol


def _require_fit(protocol: Protocol, model: ModelConfig) -> None:
    """Raise ConfigError where the model has too few positions, or the run too few epochs."""
    if protocol.max_length > model.max_position_embeddings:
        raise ConfigError(
            f"{protocol.max_length} is more than the {model.max_position_embeddings} positions "
            "of the model",
            where="max_length",
            mend="lower it",
        )
    if protocol.threshold_share and not protocol.threshold:
        raise ConfigError(
            "rows held out for no threshold",
            where="threshold_share",
            mend="name the metric to choose it by (threshold), such as f1",
        )
    layers = 1 if model.share == "all" else model.num_layers
    if protocol.unfreeze and protocol.unfreeze * (protocol.epochs - 1) <= layers:
        least = 1 + math.ceil((layers + 1) / protocol.unfreeze)
        raise ConfigError(
            f"{protocol.unfreeze} an epoch do not reach the embeddings below {layers} layers in "
            f"{protocol.epochs} epochs",
            where="unfreeze",
            mend=f"raise it, or give {least} epochs or more",
        )


def default_lr(hidden_size: int) -> float:
    """Two significant digits of 4e-5 * (768 / hidden_size) ** 1.8, at most 1e-3."""
    return float(f"{min(1e-3, 4e-5 * (768 / hidden_size) ** 1.8):.1e}")
