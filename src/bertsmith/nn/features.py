"""A frozen encoder whose layers are a tagger's features (ELMo; BERT, section 5.3, table 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from bertsmith.config import ModelConfig
from bertsmith.nn.crf import CRF
from bertsmith.nn.dropout import Dropout
from bertsmith.nn.encoder import initialise
from bertsmith.nn.models import HeadedEncoder, TokenClassifier, is_word, word_counts
from bertsmith.nn.recurrent import BiLSTM
from bertsmith.types import Batch

Layers = Literal["embeddings", "last", "second-to-last", "sum-last-four", "concat-last-four", "mix"]
"""Of which the features are made; "mix" is of all, the embeddings too."""
TaggerKind = Literal["bilstm", "linear"]

LSTM_WIDTH = 384
"""Of each direction, so that both together have BERT's 768."""
LSTM_LAYERS = 2


class ScalarMix(nn.Module):
    """gamma * sum_j softmax(w)_j * h_j: one learnt number a layer (ELMo, section 3.2)."""

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(num_layers))
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, states_WLD: Tensor) -> Tensor:
        """(W, D)."""
        return self.gamma * torch.einsum("l,wld->wd", self.weights.softmax(0), states_WLD)


class FeatureHead(nn.Module):
    """Features to label scores: a mix where `layers` says so, a BiLSTM or nothing, and a linear
    layer, with a CRF on top or not."""

    def __init__(
        self,
        config: ModelConfig,
        num_labels: int,
        dropout: float,
        layers: Layers,
        tagger: TaggerKind,
        crf: bool,
    ) -> None:
        super().__init__()
        width = config.hidden_size * (
            min(4, config.num_layers) if layers == "concat-last-four" else 1
        )
        self.mix = ScalarMix(config.num_layers + 1) if layers == "mix" else None
        self.dropout = Dropout(dropout)
        self.recurrent = (
            BiLSTM(width, LSTM_WIDTH, LSTM_LAYERS, dropout) if tagger == "bilstm" else None
        )
        inner = 2 * LSTM_WIDTH if tagger == "bilstm" else width
        self.classifier = nn.Linear(inner, num_labels)
        initialise(self.classifier, config.initializer_range)
        self.crf = CRF(num_labels) if crf else None

    def forward(self, features: Tensor, counts: Tensor) -> Tensor:
        """(W, num_labels), of features (W, D) or, to be mixed, (W, L, D)."""
        hidden_WD = self.dropout(features if self.mix is None else self.mix(features))
        if self.recurrent is not None:
            hidden_WD = self.dropout(self.recurrent(hidden_WD, counts))
        return self.classifier(hidden_WD)  # type: ignore[no-any-return]


class FeatureTagger(HeadedEncoder):
    """A frozen encoder and a FeatureHead, which alone is trained.

    A batch whose targets have "features" is not encoded again; see `features`.
    """

    head: FeatureHead

    def __init__(
        self,
        config: ModelConfig,
        num_labels: int,
        dropout: float,
        *,
        layers: Layers,
        tagger: TaggerKind = "bilstm",
        crf: bool = False,
    ) -> None:
        super().__init__(
            config, partial(FeatureHead, config, num_labels, dropout, layers, tagger, crf)
        )
        self.layers = layers
        self.encoder.requires_grad_(False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (W, num_labels) of the words that are told (see `word_counts`)."""
        features = batch.targets.get("features")
        if features is None:
            features = self.features(batch)
        own = features.to(next(self.parameters()).dtype)
        return self.head(own, word_counts(batch))  # type: ignore[no-any-return]

    @torch.no_grad()
    def features(self, batch: Batch) -> Tensor:
        """(W, D), or for a mix (W, L, D): what the encoder, not training, says of each word."""
        was_training = self.encoder.training
        self.encoder.eval()
        words = is_word(batch)
        states = [state[words] for state in self._chosen(batch)]
        self.encoder.train(was_training)
        if self.layers == "mix":
            return torch.stack(states, dim=1)
        if self.layers == "concat-last-four":
            return torch.cat(states, dim=1)
        return torch.stack(states).sum(dim=0)

    def _chosen(self, batch: Batch) -> Iterable[Tensor]:
        states = list(self.encoder.hidden_states(batch))
        match self.layers:
            case "embeddings":
                return states[:1]
            case "last":
                return states[-1:]
            case "second-to-last":
                return states[-2:-1]
            case "mix":
                return states
            case _:
                return states[max(1, len(states) - 4) :]


AnyTagger = TokenClassifier | FeatureTagger


def tagger_of(
    config: ModelConfig, num_labels: int, dropout: float, settings: Mapping[str, Any]
) -> AnyTagger:
    """The tagger that `settings` name: "crf", true or false, and where the encoder is frozen
    "features" and "tagger". Raises ValueError for what is none."""
    crf, layers = settings.get("crf", False), settings.get("features")
    tagger = settings.get("tagger", "bilstm")
    known = (None, *get_args(Layers)), get_args(TaggerKind), (True, False)
    for value, some in zip((layers, tagger, crf), known, strict=True):
        if value not in some:
            raise ValueError(f"{value!r} is none of {', '.join(map(str, some))}")
    if layers is None:
        return TokenClassifier(config, num_labels, dropout, crf)
    return FeatureTagger(config, num_labels, dropout, layers=layers, tagger=tagger, crf=crf)
