"""Gradients that are sums over tokens, added up in fp32.

torch's kernels for a processor add up those of embeddings and of LayerNorm in the type of the
network, one token after another. In bfloat16, where 256 + 1 is 256, a row that comes again and
again, such as [MASK]'s, and a norm's weights lose the more of theirs the more tokens there are.
What comes out here is rounded once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

ROWS = 512
"""A norm's backward takes so many rows, for each thread, to fp32 at a time: they fit a cache."""


def _is_rounded(tensor: Tensor) -> bool:
    """Whether torch would add up `tensor`'s rows in fewer bits than fp32 has."""
    return tensor.device.type == "cpu" and tensor.element_size() < 4 and torch.is_grad_enabled()


class Embedding(nn.Embedding):
    """nn.Embedding, without its options."""

    def forward(self, ids: Tensor) -> Tensor:
        """(..., size)."""
        if not (self.weight.requires_grad and _is_rounded(self.weight)):
            return super().forward(ids)
        return _Rows.apply(self.weight, ids)  # type: ignore[no-any-return, no-untyped-call]


class LayerNorm(nn.LayerNorm):
    """nn.LayerNorm over the last dimension (Ba et al. 2016)."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Any shape in, the same shape out."""
        if not _is_rounded(hidden):
            return super().forward(hidden)
        flat = hidden.reshape(-1, hidden.shape[-1])
        normed = _Norm.apply(flat, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        return normed.view(hidden.shape)  # type: ignore[no-any-return]


class _Rows(torch.autograd.Function):
    """Rows (..., D) of a table (V, D)."""

    @staticmethod
    def forward(ctx: Any, table_VD: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.num_rows = len(table_VD)
        return torch.embedding(table_VD, ids)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        places_T, count = ids.flatten(), ctx.num_rows
        grad_TD = grads[0].reshape(len(places_T), -1)
        if is_large := count > len(places_T):  # then only the rows in use are added up
            used_U, places_T = places_T.unique(return_inverse=True)
            count = len(used_U)
        sums = torch.ops.aten.embedding_dense_backward(grad_TD.float(), places_T, count, -1, False)
        rounded: Tensor = sums.to(grad_TD.dtype)
        if is_large:
            whole_VD = grad_TD.new_zeros(ctx.num_rows, grad_TD.shape[1])
            rounded = whole_VD.index_copy_(0, used_U, rounded)
        return rounded, None


class _Norm(torch.autograd.Function):
    """LayerNorm of each row (T, D)."""

    @staticmethod
    def forward(
        ctx: Any, hidden_TD: Tensor, weight_D: Tensor, bias_D: Tensor | None, eps: float
    ) -> Tensor:
        # With weights in fp32, so that the means and deviations are not rounded either.
        weight, bias = weight_D.float(), None if bias_D is None else bias_D.float()
        normed, mean, inverse = torch.native_layer_norm(hidden_TD, weight.shape, weight, bias, eps)
        ctx.save_for_backward(hidden_TD, mean, inverse, weight, bias)
        return normed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, mean, inverse, weight, bias = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:3])
        grad_hidden = torch.empty_like(hidden) if wanted[0] else None
        sums = [torch.zeros_like(weight) if is_wanted else None for is_wanted in wanted[1:]]
        rows = ROWS * torch.get_num_threads()
        for begin in range(0, len(hidden), rows):
            part = slice(begin, begin + rows)
            own, *parts = torch.ops.aten.native_layer_norm_backward(
                grads[0][part].float(),
                hidden[part].float(),
                weight.shape,
                mean[part],
                inverse[part],
                weight,
                bias,
                wanted,
            )
            if grad_hidden is not None:
                grad_hidden[part] = own
            for total, some in zip(sums, parts, strict=True):
                if total is not None:
                    total += some
        dtype = hidden.dtype
        return grad_hidden, *(total if total is None else total.to(dtype) for total in sums), None
