"""Losses, as functions."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from bertsmith.nn.cross_entropy import (
    vocabulary_cross_entropy,
    vocabulary_cross_entropy_and_sample,
)
from bertsmith.nn.heads import PairHead
from bertsmith.nn.models import EncoderDecoder, EncoderDecoderWithMaskedLM, MaskedLM
from bertsmith.types import Batch


def _total(batch: Batch, target: str) -> Tensor:
    """How many of the target there are in all the shares of the batch."""
    return batch.total(lambda share: len(share.targets[target]))


def masked_lm_loss(
    model: MaskedLM | EncoderDecoderWithMaskedLM, batch: Batch, hidden_TD: Tensor
) -> dict[str, Tensor]:
    """Cross entropy at the masked positions alone: "mlm_loss" (nats) and "mlm_accuracy"."""
    rows, labels = _masked_rows(model, batch, hidden_TD)
    total = _total(batch, "mlm_labels")
    loss, correct = vocabulary_cross_entropy(
        rows, model.embedding, model.mlm_head.bias, labels, total
    )
    return {"mlm_loss": loss, "mlm_accuracy": correct / total}


def next_token_loss(model: MaskedLM, batch: Batch, hidden_TD: Tensor) -> dict[str, Tensor]:
    """Cross entropy of each token after those before it: "lm_loss" (nats) and "lm_accuracy"."""
    named = masked_lm_loss(model, batch, hidden_TD)
    return {f"lm_{name.removeprefix('mlm_')}": value for name, value in named.items()}


def masked_lm_loss_and_sample(
    model: MaskedLM, batch: Batch, hidden_TD: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """As `masked_lm_loss`, with (M,) a token drawn for each masked position."""
    rows, labels = _masked_rows(model, batch, hidden_TD)
    total = _total(batch, "mlm_labels")
    loss, correct, sampled_M = vocabulary_cross_entropy_and_sample(
        rows, model.embedding, model.mlm_head.bias, labels, total
    )
    return {"mlm_loss": loss, "mlm_accuracy": correct / total}, sampled_M


def _masked_rows(
    model: MaskedLM | EncoderDecoderWithMaskedLM, batch: Batch, hidden_TD: Tensor
) -> tuple[Tensor, Tensor]:
    """What the vocabulary is scored from at the masked positions, and their labels."""
    rows = model.mlm_head.rows(hidden_TD.index_select(0, batch.targets["mlm_positions"]))
    return rows, batch.targets["mlm_labels"]


def replaced_token_loss(batch: Batch, logits_T: Tensor, is_replaced_T: Tensor) -> dict[str, Tensor]:
    """Binary cross entropy at every token: "rtd_loss" (nats) and "rtd_accuracy"; and the shares of
    the tokens that are replaced, that are said to be, and that are said to be and are:
    "rtd_replaced", "rtd_found" and "rtd_hits".
    """
    losses_T = functional.binary_cross_entropy_with_logits(
        logits_T.float(), is_replaced_T.float(), reduction="none"
    )
    found_T = logits_T > 0
    total = batch.total(lambda share: share.num_tokens)
    return {
        "rtd_loss": losses_T.sum() / total,
        "rtd_accuracy": (found_T == is_replaced_T).sum() / total,
        "rtd_replaced": is_replaced_T.sum() / total,
        "rtd_found": found_T.sum() / total,
        "rtd_hits": (found_T & is_replaced_T).sum() / total,
    }


def replaced_token_scores(named: Mapping[str, float]) -> dict[str, float]:
    """What `replaced_token_loss` has counted as "rtd_precision" and "rtd_recall", 0 where there
    was nothing to count; the rest of `named` as it is.
    """
    shares = dict(named)
    replaced, found, hits = (shares.pop(f"rtd_{name}") for name in ("replaced", "found", "hits"))
    precision, recall = hits / found if found else 0.0, hits / replaced if replaced else 0.0
    return shares | {"rtd_precision": precision, "rtd_recall": recall}


def next_sentence_loss(model: MaskedLM, batch: Batch, hidden_TD: Tensor) -> dict[str, Tensor]:
    """Cross entropy over the pairs: "nsp_loss" (nats) and "nsp_accuracy"."""
    assert model.next_sentence_head is not None
    return _pair_loss("nsp", model.next_sentence_head, batch, hidden_TD)


def sentence_order_loss(model: MaskedLM, batch: Batch, hidden_TD: Tensor) -> dict[str, Tensor]:
    """Cross entropy over the pairs: "sop_loss" (nats) and "sop_accuracy"."""
    assert model.sentence_order_head is not None
    return _pair_loss("sop", model.sentence_order_head, batch, hidden_TD)


def _pair_loss(name: str, head: PairHead, batch: Batch, hidden_TD: Tensor) -> dict[str, Tensor]:
    logits = head(hidden_TD, batch.lengths).float()
    labels = batch.targets["labels"]
    total = _total(batch, "labels")
    correct = (logits.argmax(dim=1) == labels).sum()
    loss = functional.cross_entropy(logits, labels, reduction="sum")
    return {f"{name}_loss": loss / total, f"{name}_accuracy": correct / total}


def _decoder_labels(batch: Batch) -> int:
    return 0 if batch.decoder is None else len(batch.decoder.targets["decoder_labels"])


def decoder_loss(
    model: EncoderDecoder | EncoderDecoderWithMaskedLM, batch: Batch, hidden_TD: Tensor
) -> dict[str, Tensor]:
    """Cross entropy at the decoder's tokens: "decoder_loss" (nats) and "decoder_accuracy"."""
    assert batch.decoder is not None
    labels = batch.decoder.targets["decoder_labels"]
    no_bias = hidden_TD.new_zeros(len(model.embedding))
    total = batch.total(_decoder_labels)
    loss, correct = vocabulary_cross_entropy(hidden_TD, model.embedding, no_bias, labels, total)
    return {"decoder_loss": loss, "decoder_accuracy": correct / total}


def grouped_cross_entropy(scores_N: Tensor, groups_N: Tensor, right_G: Tensor) -> Tensor:
    """(G,) cross entropies of softmaxes over groups of rows, of any sizes.

    `groups_N` says which group, from 0, each score belongs to, and `right_G` which row of
    all N is right in each.
    """
    most_G = scores_N.new_full((len(right_G),), -torch.inf)
    most_G = most_G.scatter_reduce(0, groups_N, scores_N.detach(), "amax")
    exponents_N = (scores_N - most_G[groups_N]).exp()
    totals_G = torch.zeros_like(most_G).index_add(0, groups_N, exponents_N)
    return totals_G.log() + most_G - scores_N[right_G]


def span_loss(logits_T2: Tensor, lengths: tuple[int, ...], spans_B2: Tensor) -> Tensor:
    """Mean cross entropy of starts and ends, over the tokens of each sequence (BERT, 4.2).

    `spans_B2` are their positions in the sequences.
    """
    counts_B = torch.tensor(lengths, device=logits_T2.device)
    groups_T = torch.arange(len(lengths), device=logits_T2.device).repeat_interleave(counts_B)
    begins_B = counts_B.cumsum(0) - counts_B
    losses = [
        grouped_cross_entropy(logits_T2[:, side], groups_T, begins_B + spans_B2[:, side])
        for side in (0, 1)
    ]
    return torch.stack(losses).mean()


def choice_loss(logits_B1: Tensor, options_B2: Tensor) -> Tensor:
    """Mean cross entropy of the right options, over those of each question (BERT, 4.4).

    `options_B2` says which question's each is, and, by a 1, whether it is right; all options
    of a question are in the batch.
    """
    _, groups_B = torch.unique(options_B2[:, 0], return_inverse=True)
    right = options_B2[:, 1].nonzero().squeeze(1)
    right_G = right[groups_B[right].argsort()]
    return grouped_cross_entropy(logits_B1.squeeze(1), groups_B, right_G).mean()
