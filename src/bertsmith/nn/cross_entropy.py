"""Cross entropy over a vocabulary, without its logits ever being kept.

The scores of M tokens over V words are the largest tensor of a small network's step, its softmax
most of what it costs beside the products. Here both are taken a block of rows at a time, and the
gradient is formed on the way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bertsmith.nn.rows import with_spare_rows

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
        total = torch.full((), max(1, len(labels_M)), device=labels_M.device)
    return _VocabularyCrossEntropy.apply(  # type: ignore[no-any-return, no-untyped-call]
        hidden_MD, embedding_VD, bias_V, labels_M, uniform_M, total, torch.is_grad_enabled()
    )
