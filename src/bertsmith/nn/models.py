"""Whole networks: an encoder and its heads, or a decoder."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bertsmith.config import ModelConfig
from bertsmith.nn.decoder import Decoder, Memory
from bertsmith.nn.dropout import Dropout
from bertsmith.nn.encoder import Encoder
from bertsmith.nn.heads import (
    ChoiceHead,
    MaskedLMHead,
    NextSentenceHead,
    ReplacedTokenHead,
    SentenceOrderHead,
    SequenceHead,
    SpanHead,
    TokenHead,
    first_positions,
)
from bertsmith.nn.word2vec import Word2Vec
from bertsmith.types import Batch


class MaskedLM(nn.Module):
    """What pre-training trains: encoder, masked-LM head, and BERT's or ALBERT's pair head.

    The output matrix is the input word embedding, unless the config wants one apart. With a
    causal encoder it is a language model: what it says at a token is about the next one.
    """

    def __init__(
        self, config: ModelConfig, next_sentence: bool, sentence_order: bool = False
    ) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.mlm_head = MaskedLMHead(config)
        self.next_sentence_head = NextSentenceHead(config) if next_sentence else None
        self.sentence_order_head = SentenceOrderHead(config) if sentence_order else None

    @property
    def embedding(self) -> Tensor:
        """What scores words: the word embedding where it is tied, (V, embedding width)."""
        decoder = self.mlm_head.decoder
        weight = self.encoder.embeddings.word.weight if decoder is None else decoder.weight
        return weight

    def forward(self, batch: Batch) -> Tensor:
        """The encoder's vectors, (T, D).

        Where the batch says which tokens are to be predicted, zeros for all that no head reads.
        """
        return self.encoder(batch, self._read(batch))  # type: ignore[no-any-return]

    def _read(self, batch: Batch) -> Tensor | None:
        """The tokens that are predicted, and those that tell of pairs."""
        predicted_M = batch.targets.get("mlm_positions")
        if predicted_M is None or not (self.next_sentence_head or self.sentence_order_head):
            return predicted_M
        return torch.cat([predicted_M, first_positions(batch.lengths, predicted_M.device)])

    def scores(self, hidden_TD: Tensor, positions_M: Tensor) -> Tensor:
        """Logits over the vocabulary at `positions_M` of the flat batch: (M, V)."""
        rows: Tensor = self.mlm_head(hidden_TD.index_select(0, positions_M), self.embedding)
        return rows


class ReplacedTokenDetector(nn.Module):
    """ELECTRA's discriminator, which is what it leaves: encoder and replaced-token head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.replaced_token_head = ReplacedTokenHead(config)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (T,): above 0 where a token is held to be replaced."""
        return self.replaced_token_head(self.encoder(batch))  # type: ignore[no-any-return]


class EncoderDecoder(nn.Module):
    """Encoder, decoder and one word embedding: of both inputs, and the output matrix."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.dropout = Dropout(config.inner_dropout)
        self.logit_scale = config.hidden_size**-0.5 if config.scale_logits else 1.0

    @property
    def embedding(self) -> Tensor:
        """The tied word embedding, (V, D)."""
        return self.encoder.embeddings.word.weight

    def forward(self, batch: Batch) -> Tensor:
        """(T, D), a row for each of the decoder's tokens; `embedding` times it are the scores."""
        return self.decode(batch, self.encoder(batch))

    def decode(self, batch: Batch, source_TD: Tensor) -> Tensor:
        """As `forward`, once the encoder has made `source_TD` of what it reads."""
        assert batch.decoder is not None
        hidden_TD = self.decoder(
            self.encoder.embeddings(batch.decoder),
            batch.decoder.lengths,
            self.dropout(source_TD),
            batch.lengths,
        )
        return self.dropout(hidden_TD) * self.logit_scale  # type: ignore[no-any-return]

    def begin(self, batch: Batch) -> Memory:
        """The decoder's memory of the one sequence in `batch`."""
        return self.decoder.begin(self.dropout(self.encoder(batch)))

    def step(self, ids_b: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Scores (b, V) of what comes after the next token `ids_b`, and the memory with it."""
        rows = Batch(
            input_ids=ids_b,
            token_type_ids=torch.zeros_like(ids_b),
            position_ids=torch.full_like(ids_b, memory.num_tokens),
            lengths=(1,) * len(ids_b),
            indices=tuple(range(len(ids_b))),
        )
        hidden_bD, memory = self.decoder.step(self.encoder.embeddings(rows), memory)
        return self.dropout(hidden_bD) * self.logit_scale @ self.embedding.t(), memory


class EncoderDecoderWithMaskedLM(nn.Module):
    """An encoder-decoder and a masked-LM head on its encoder, which pre-training alone uses
    (Zhang et al. 2020, PEGASUS, section 3.2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.network = EncoderDecoder(config)
        self.mlm_head = MaskedLMHead(config)

    @property
    def embedding(self) -> Tensor:
        """The word embedding, which scores words for the encoder and the decoder: (V, D)."""
        return self.network.embedding

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(T, D) of the encoder, a row for each of its tokens, and of the decoder, as
        `EncoderDecoder.forward` has it."""
        source_TD = self.network.encoder(batch)
        return source_TD, self.network.decode(batch, source_TD)


class HeadedEncoder(nn.Module):
    """What fine-tuning trains: an encoder and the head of a task, all weights."""

    def __init__(self, config: ModelConfig, make_head: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.make_head = make_head
        """Draws a fresh head."""
        self.head = make_head()


class SequenceClassifier(HeadedEncoder):
    """An encoder and a sequence head: logits (B, num_labels)."""

    head: SequenceHead

    def __init__(self, config: ModelConfig, num_labels: int, dropout: float = 0.1) -> None:
        super().__init__(config, partial(SequenceHead, config, num_labels, dropout))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, num_labels), in the batch's order."""
        return self.head(_encode_pooled(self.encoder, batch), batch.lengths)  # type: ignore[no-any-return]


def _encode_pooled(encoder: Encoder, batch: Batch) -> Tensor:
    """The vectors (T, D), right at least where the encoder's pooling reads them."""
    reads_first = encoder.config.pooling == "cls"
    device = batch.input_ids.device
    read_B = first_positions(batch.lengths, device) if reads_first else None
    hidden_TD: Tensor = encoder(batch, read_B)
    return hidden_TD


class TokenClassifier(HeadedEncoder):
    """An encoder and a token head: logits (W, num_labels) of the words that are told.

    Those are the tokens where the batch's target "is_word" is 1.
    """

    head: TokenHead

    def __init__(
        self, config: ModelConfig, num_labels: int, dropout: float = 0.1, crf: bool = False
    ) -> None:
        super().__init__(config, partial(TokenHead, config, num_labels, dropout, crf))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (W, num_labels), in the batch's order."""
        return self.head(self.encoder(batch)[is_word(batch)])  # type: ignore[no-any-return]


def is_word(batch: Batch) -> Tensor:
    """(T,) whether a token is the first of a word that is told here."""
    return batch.targets["is_word"] > 0


def word_counts(batch: Batch) -> Tensor:
    """(B,) the words that are told in each sequence."""
    lengths = torch.tensor(batch.lengths, device=batch.input_ids.device)
    totals = torch.cat([lengths.new_zeros(1), batch.targets["is_word"].cumsum(0)])
    return totals[lengths.cumsum(0)] - totals[lengths.cumsum(0) - lengths]


class SpanModel(HeadedEncoder):
    """An encoder and a span head: logits (T, 2)."""

    head: SpanHead

    def __init__(self, config: ModelConfig, dropout: float = 0.1) -> None:
        super().__init__(config, partial(SpanHead, config, dropout))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (T, 2)."""
        return self.head(self.encoder(batch))  # type: ignore[no-any-return]


class ChoiceModel(HeadedEncoder):
    """An encoder and a choice head: logits (B, 1), one for each option."""

    head: ChoiceHead

    def __init__(self, config: ModelConfig, dropout: float = 0.1) -> None:
        super().__init__(config, partial(ChoiceHead, config, dropout))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, 1)."""
        return self.head(_encode_pooled(self.encoder, batch), batch.lengths)  # type: ignore[no-any-return]


def masked_lm_of(model: nn.Module) -> MaskedLM | None:
    """The network in `model` that fills masks: itself or a part of it; None where none does."""
    parts = (part for part in model.modules() if isinstance(part, MaskedLM))
    return next((part for part in parts if not part.encoder.config.causal), None)


def config_of(model: nn.Module) -> ModelConfig:
    """What the encoder, or the word vectors, in `model` were made from."""
    parts = (part for part in model.modules() if isinstance(part, Encoder | Word2Vec))
    return next(parts).config


def sizes_of(model: nn.Module) -> dict[str, Any]:
    """What of its config the network was made from."""
    used = {"vocab_size", "hidden_size"} if isinstance(model, Word2Vec) else None
    return config_of(model).model_dump(include=used)


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def place(model: HeadedEncoder, device: torch.device, dtype: torch.dtype) -> None:
    """Move `model` to `device`, to compute in `dtype`.

    The layer that says a number stays in fp32: between 2000 and 2008 bfloat16 knows none.
    """
    if isinstance(model, SequenceClassifier) and model.head.classifier.out_features == 1:
        exact = deepcopy(model.head.classifier)
        model.to(device, dtype)
        model.head.classifier = exact.to(device)
    else:
        model.to(device, dtype)


def model_device(model: nn.Module) -> torch.device:
    """Where the model's weights are."""
    return next(model.parameters()).device
