"""Heads, each named by what it predicts. All take the encoder's flat (T, D) output."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bertsmith.config import ModelConfig
from bertsmith.nn.crf import CRF
from bertsmith.nn.dropout import Dropout
from bertsmith.nn.embeddings import layer_norm
from bertsmith.nn.encoder import activate, initialise


def first_positions(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Where in the flat batch every sequence begins: (B,)."""
    counts = torch.tensor(lengths, device=device)
    return counts.cumsum(0) - counts


def first_tokens(hidden_TD: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """The vectors of every sequence's first token, [CLS]: (B, D)."""
    return hidden_TD.index_select(0, first_positions(lengths, hidden_TD.device))


def mean_tokens(hidden_TD: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """The mean vector of every sequence's tokens, special ones included: (B, D).

    Summed in fp32: a GPU would add up bfloat16 in bfloat16, where 256 + 1 is 256.
    """
    counts_B = torch.tensor(lengths, device=hidden_TD.device)
    rows_T = torch.arange(len(lengths), device=hidden_TD.device).repeat_interleave(counts_B)
    exact_TD = hidden_TD.to(torch.promote_types(hidden_TD.dtype, torch.float32))
    sums_BD = exact_TD.new_zeros(len(lengths), exact_TD.shape[1]).index_add(0, rows_T, exact_TD)
    return (sums_BD / counts_B[:, None]).to(hidden_TD.dtype)


POOLING = {"cls": first_tokens, "mean": mean_tokens}
"""`ModelConfig.pooling`."""


POOLERS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "relu": functional.relu,
}
"""`ModelConfig.pooler`."""


class Pooler(nn.Module):
    """A linear layer and tanh, on [CLS] (BERT's released code), GELU (ELECTRA's classifiers), or
    ReLU (DistilBERT's)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = POOLERS[config.pooler]
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        initialise(self, config.initializer_range)

    def forward(self, cls_BD: Tensor) -> Tensor:
        """(B, D)."""
        return self.activation(self.dense(cls_BD))


class Transform(nn.Module):
    """norm(gelu(Linear(x))): between the encoder and the vocabulary (BERT's released code).

    From D to the width of the embeddings, which are the output matrix.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.dense = nn.Linear(config.hidden_size, config.embedding_width, bias=config.bias)
        self.norm = layer_norm(config, config.embedding_width)
        initialise(self, config.initializer_range)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., embedding width)."""
        return self.norm(activate(self.dense(hidden), self.config))  # type: ignore[no-any-return]


class MaskedLMHead(nn.Module):
    """Scores over the vocabulary. The output matrix is passed in: the input embedding, where they
    are tied, else `decoder`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.transform = Transform(config)
        self.decoder = (
            None
            if config.tied
            else nn.Linear(config.embedding_width, config.vocab_size, bias=False)
        )
        initialise(self, config.initializer_range)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.logit_scale = config.embedding_width**-0.5 if config.scale_logits else 1.0

    def rows(self, hidden_MD: Tensor) -> Tensor:
        """(M, embedding width): what the output matrix is multiplied by."""
        return self.transform(hidden_MD) * self.logit_scale  # type: ignore[no-any-return]

    def forward(self, hidden_MD: Tensor, matrix_VD: Tensor) -> Tensor:
        """Logits (M, V) for the M rows given: pass masked positions only."""
        return functional.linear(self.rows(hidden_MD), matrix_VD, self.bias)


class ReplacedTokenHead(nn.Module):
    """Was this token replaced? (ELECTRA, section 3.1; a hidden layer as in its released code.)"""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, 1)
        initialise(self, config.initializer_range)

    def forward(self, hidden_TD: Tensor) -> Tensor:
        """Logits (T,): above 0, it was."""
        return self.classifier(functional.gelu(self.dense(hidden_TD))).squeeze(1)  # type: ignore[no-any-return]


class PairHead(nn.Module):
    """Two classes of sentence pairs, out of the pooler. Index 0: the text's own order."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.pooler = Pooler(config)
        self.classifier = nn.Linear(config.hidden_size, 2)
        initialise(self.classifier, config.initializer_range)

    def forward(self, hidden_TD: Tensor, lengths: tuple[int, ...]) -> Tensor:
        """Logits (B, 2)."""
        return self.classifier(self.pooler(first_tokens(hidden_TD, lengths)))  # type: ignore[no-any-return]


class NextSentenceHead(PairHead):
    """Does B follow A? (BERT, section 3.1, task 2.) Index 0: it does; 1: it does not."""


class SentenceOrderHead(PairHead):
    """Are A and B in their order? (ALBERT, section 3.1.) Index 0: they are; 1: swapped."""


def uses_pooler(config: ModelConfig) -> bool:
    """Whether a classifier begins with a Pooler; else with a Transform, which must keep D."""
    return config.norm == "post" or config.embedding_size > 0


class SequenceHead(nn.Module):
    """[CLS], or the mean of the tokens, to `num_labels` scores (BERT, section 4.1).

    The layer before the classifier is the one that pre-training leaves behind: BERT's
    pooler, or, in a pre-norm encoder without one, the masked-LM transform (ModernBERT).
    """

    def __init__(self, config: ModelConfig, num_labels: int, dropout: float) -> None:
        super().__init__()
        self.pool = POOLING[config.pooling]
        self.transform = Pooler(config) if uses_pooler(config) else Transform(config)
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(config.hidden_size, num_labels)
        initialise(self.classifier, config.initializer_range)

    def forward(self, hidden_TD: Tensor, lengths: tuple[int, ...]) -> Tensor:
        """Logits (B, num_labels), in the type of the classifier's weights."""
        hidden_BD = self.dropout(self.transform(self.pool(hidden_TD, lengths)))
        if isinstance(self.classifier, nn.Linear):  # else it is packed, in the network's own type
            own = self.classifier.weight.dtype
            hidden_BD = hidden_BD if hidden_BD.dtype is own else hidden_BD.to(own)
        return self.classifier(hidden_BD)  # type: ignore[no-any-return]


class TokenHead(nn.Module):
    """A word's first piece to `num_labels` scores (BERT, section 5.3), with a CRF or without.

    A pre-norm encoder's tokens pass through the masked-LM transform first (ModernBERT).
    """

    def __init__(
        self, config: ModelConfig, num_labels: int, dropout: float, crf: bool = False
    ) -> None:
        super().__init__()
        self.transform = None if uses_pooler(config) else Transform(config)
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(config.hidden_size, num_labels)
        initialise(self.classifier, config.initializer_range)
        self.crf = CRF(num_labels) if crf else None

    def forward(self, hidden_WD: Tensor) -> Tensor:
        """(W, num_labels): logits, or what a CRF begins with."""
        if self.transform is not None:
            hidden_WD = self.transform(hidden_WD)
        return self.classifier(self.dropout(hidden_WD))  # type: ignore[no-any-return]


class SpanHead(nn.Module):
    """Where in the text an answer starts and ends (BERT, section 4.2): two vectors.

    A pre-norm encoder's tokens pass through the masked-LM transform first (ModernBERT).
    """

    def __init__(self, config: ModelConfig, dropout: float) -> None:
        super().__init__()
        self.transform = None if uses_pooler(config) else Transform(config)
        self.dropout = Dropout(dropout)
        self.span = nn.Linear(config.hidden_size, 2)
        initialise(self.span, config.initializer_range)

    def forward(self, hidden_TD: Tensor) -> Tensor:
        """Logits (T, 2): of the start, and of the end."""
        if self.transform is not None:
            hidden_TD = self.dropout(self.transform(hidden_TD))
        return self.span(hidden_TD)  # type: ignore[no-any-return]


class ChoiceHead(SequenceHead):
    """A score for a sequence that is one of several options (BERT, section 4.4): one vector."""

    def __init__(self, config: ModelConfig, dropout: float) -> None:
        super().__init__(config, 1, dropout)
