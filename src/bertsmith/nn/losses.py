"""Losses, as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bertsmith.nn.heads import PairHead
from bertsmith.nn.models import EncoderDecoder, MaskedLM
from bertsmith.nn.rows import with_spare_rows
from bertsmith.types import Batch, itself

BLOCK_ELEMENTS = 1 << 26
"""Logits held at once by `vocabulary_cross_entropy`: 128 MB in bfloat16."""

CACHE_ELEMENTS = 1 << 21
"""Logits that a processor's cache holds while their softmax is taken: 8 MB in fp32."""


class _VocabularyCrossEntropy(torch.autograd.Function):
    """Cross entropy straight from hidden vectors, a block of rows of logits at a time.

    The gradient of the mean loss is known as soon as the softmax is, so it is formed in the
    forward pass, and backward only scales it. The (M, V) matrix is never kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_MD: Tensor,
        embedding_VD: Tensor,
        bias_V: Tensor,
        labels_M: Tensor,
        uniform_M: Tensor,
        total: Tensor,
        needs_grad: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        count, dtype = len(labels_M), hidden_MD.dtype
        rows = max(1, BLOCK_ELEMENTS // len(embedding_VD))
        grad_hidden = torch.empty_like(hidden_MD)
        grad_embedding = grad_bias = None
        loss = hidden_MD.new_zeros((), dtype=torch.float32)
        correct = torch.zeros((), dtype=torch.int64, device=hidden_MD.device)
        sampled_M = torch.empty_like(uniform_M, dtype=torch.int64)
        for begin in range(0, count, rows):
            part = slice(begin, begin + rows)
            hidden, labels = hidden_MD[part], labels_M[part]
            block_loss, block_correct, totals, exponents, sampled_M[part] = _exponents(
                hidden, embedding_VD, bias_V, labels, uniform_M[part]
            )
            loss += block_loss
            correct += block_correct
            if not needs_grad:
                continue
            # softmax - one_hot, over the total: the row scale goes to the narrow side.
            places = torch.arange(len(labels), device=labels.device)
            exponents[places, labels] -= totals.to(dtype)
            scale = (1.0 / (totals * total)).to(dtype)[:, None]
            torch.mul((exponents @ embedding_VD)[: len(labels)], scale, out=grad_hidden[part])
            scale, hidden = with_spare_rows(scale), with_spare_rows(hidden * scale)
            if grad_embedding is None or grad_bias is None:
                grad_embedding = exponents.t() @ hidden
                grad_bias = (exponents.t() @ scale).squeeze(1)
            else:
                grad_embedding.addmm_(exponents.t(), hidden)
                grad_bias += (exponents.t() @ scale).squeeze(1)
        if needs_grad and count:
            ctx.save_for_backward(grad_hidden, grad_embedding, grad_bias)
        elif needs_grad:
            ctx.save_for_backward(
                grad_hidden, torch.zeros_like(embedding_VD), torch.zeros_like(bias_V)
            )
        ctx.mark_non_differentiable(correct, sampled_M)
        return loss / total, correct, sampled_M

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grads_saved: tuple[Tensor, Tensor, Tensor] = ctx.saved_tensors
        if not grads[0].is_cuda and grads[0].item() == 1.0:  # spares a pass over the table
            return *grads_saved, None, None, None, None
        hidden, embedding, bias = (saved * grads[0].to(saved.dtype) for saved in grads_saved)
        return hidden, embedding, bias, None, None, None, None


def _exponents(
    hidden_MD: Tensor, embedding_VD: Tensor, bias_V: Tensor, labels_M: Tensor, uniform_M: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The summed loss, how many labels score highest, exp(logits - row maximum) as its fp32
    row sums (M,) and itself (M, V) in the type of `hidden_MD`, with spare rows of zeros, and
    samples as `uniform_M` asks.

    On a processor, as many rows at a time as its cache holds: the six passes that a softmax
    makes over its logits then stay out of memory.
    """
    loss = hidden_MD.new_zeros((), dtype=torch.float32)
    correct = torch.zeros((), dtype=torch.int64, device=hidden_MD.device)
    totals_M = hidden_MD.new_empty(len(labels_M), dtype=torch.float32)
    sampled_M = torch.empty_like(uniform_M, dtype=torch.int64)
    scores_MV = with_spare_rows(hidden_MD) @ embedding_VD.t()
    on_cpu = hidden_MD.device.type == "cpu"
    rows = max(1, (CACHE_ELEMENTS if on_cpu else BLOCK_ELEMENTS) // len(embedding_VD))
    for begin in range(0, len(labels_M), rows):
        part = slice(begin, min(begin + rows, len(labels_M)))
        logits = scores_MV[part].float().add_(bias_V)
        largest = logits.amax(dim=1)
        chosen = logits.gather(1, labels_M[part, None]).squeeze(1)
        exponents = logits.sub_(largest[:, None]).exp_()
        totals = exponents.sum(dim=1)
        loss += (totals.log() + largest - chosen).sum()
        correct += (chosen == largest).sum()
        totals_M[part], scores_MV[part] = totals, exponents
        if len(uniform_M):
            sampled_M[part] = _sample(exponents, uniform_M[part])
    return loss, correct, totals_M, scores_MV, sampled_M


def _sample(weights_MV: Tensor, uniform_M: Tensor) -> Tensor:
    """A column of each row, drawn in proportion to its weights: where the running sum passes
    `uniform_M` of the whole. One random number a row, where Gumbel's way takes V."""
    sums_MV = weights_MV.cumsum(dim=1)
    reached_M1 = (uniform_M * sums_MV[:, -1])[:, None]
    columns_M = torch.searchsorted(sums_MV, reached_M1, right=True).squeeze(1)
    return columns_M.clamp(max=weights_MV.shape[1] - 1)  # rounding may reach the whole


def vocabulary_cross_entropy(
    hidden_MD: Tensor,
    embedding_VD: Tensor,
    bias_V: Tensor,
    labels_M: Tensor,
    total: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Cross entropy (nats) of `labels_M` under softmax(hidden @ embedding.T + bias), their mean.

    Its sum is divided by `total` where that is given, as for a share of a batch. Returns the
    loss and how many labels had the highest score. M = 0 gives a loss of 0.
    """
    none = hidden_MD.new_empty(0, dtype=torch.float32)
    loss, correct, _ = _cross_entropy(hidden_MD, embedding_VD, bias_V, labels_M, none, total)
    return loss, correct


def vocabulary_cross_entropy_and_sample(
    hidden_MD: Tensor,
    embedding_VD: Tensor,
    bias_V: Tensor,
    labels_M: Tensor,
    total: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `vocabulary_cross_entropy`, with (M,) a token drawn from each row's softmax.

    The draws come from torch's generator; no gradient goes through them.
    """
    uniform_M = torch.rand(len(labels_M), device=hidden_MD.device)
    return _cross_entropy(hidden_MD, embedding_VD, bias_V, labels_M, uniform_M, total)


def _cross_entropy(
    hidden_MD: Tensor,
    embedding_VD: Tensor,
    bias_V: Tensor,
    labels_M: Tensor,
    uniform_M: Tensor,
    total: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    if total is None:
        total = _count(len(labels_M), labels_M).clamp(min=1)
    return _VocabularyCrossEntropy.apply(  # type: ignore[no-any-return, no-untyped-call]
        hidden_MD, embedding_VD, bias_V, labels_M, uniform_M, total, torch.is_grad_enabled()
    )


def _count(count: int, beside: Tensor) -> Tensor:
    """`count` on the device of `beside`."""
    return torch.full((), count, device=beside.device)


def _total(batch: Batch, counted: Tensor) -> Tensor:
    """How many `counted` has, with the other shares of the batch where there are some; 1 if none.
    What a mean over them is divided by."""
    return batch.total(_count(len(counted), counted)).clamp(min=1)


def masked_lm_loss(model: MaskedLM, batch: Batch, hidden_TD: Tensor) -> dict[str, Tensor]:
    """Cross entropy at the masked positions alone: "mlm_loss" (nats) and "mlm_accuracy"."""
    rows, labels = _masked_rows(model, batch, hidden_TD)
    total = _total(batch, labels)
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
    total = _total(batch, labels)
    loss, correct, sampled_M = vocabulary_cross_entropy_and_sample(
        rows, model.embedding, model.mlm_head.bias, labels, total
    )
    return {"mlm_loss": loss, "mlm_accuracy": correct / total}, sampled_M


def _masked_rows(model: MaskedLM, batch: Batch, hidden_TD: Tensor) -> tuple[Tensor, Tensor]:
    """What the vocabulary is scored from at the masked positions, and their labels."""
    rows = model.mlm_head.transform(hidden_TD.index_select(0, batch.targets["mlm_positions"]))
    return rows, batch.targets["mlm_labels"]


def replaced_token_loss(
    logits_T: Tensor, is_replaced_T: Tensor, total: Callable[[Tensor], Tensor] = itself
) -> dict[str, Tensor]:
    """Binary cross entropy at every token: "rtd_loss" (nats) and "rtd_accuracy"; and of the
    replaced tokens "rtd_precision" and "rtd_recall", 0 where nothing is counted.

    `total` is the batch's.
    """
    losses_T = functional.binary_cross_entropy_with_logits(
        logits_T.float(), is_replaced_T.float(), reduction="none"
    )
    found_T = logits_T > 0
    hits = (found_T & is_replaced_T).sum()
    # Tokens, tokens found, tokens replaced: one message where shares are added up.
    counts = torch.stack([_count(len(logits_T), logits_T), found_T.sum(), is_replaced_T.sum()])
    tokens, found, replaced = total(counts).clamp(min=1)
    return {
        "rtd_loss": losses_T.sum() / tokens,
        "rtd_accuracy": (found_T == is_replaced_T).sum() / tokens,
        "rtd_precision": hits / found,
        "rtd_recall": hits / replaced,
    }


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
    total = _total(batch, labels)
    correct = (logits.argmax(dim=1) == labels).sum()
    loss = functional.cross_entropy(logits, labels, reduction="sum")
    return {f"{name}_loss": loss / total, f"{name}_accuracy": correct / total}


def decoder_loss(model: EncoderDecoder, batch: Batch) -> dict[str, Tensor]:
    """Cross entropy at the decoder's tokens: "decoder_loss" (nats) and "decoder_accuracy"."""
    assert batch.decoder is not None
    labels = batch.decoder.targets["decoder_labels"]
    hidden_TD = model(batch)
    no_bias = hidden_TD.new_zeros(len(model.embedding))
    total = _total(batch, labels)
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
