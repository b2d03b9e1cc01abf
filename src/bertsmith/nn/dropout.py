"""Inverted dropout at a fraction of torch's cost on a processor.

torch draws one number an element, one after the other, and selects with a mask of another type:
on a processor that is dearer than the layer norm beside it. Here a counter is hashed, in vector
instructions and on all cores, into 15 random bits an element; these become a mask of all ones or
all zeros, and dropping an element is a bitwise "and".
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

BITS_OF = {2: torch.int16, 4: torch.int32}
"""The integer type of a float's size."""


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014). The rate is exact to 1/32768."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, hidden: Tensor) -> Tensor:
        """Any shape in, the same shape out; the identity outside training."""
        if not self.training or self.rate == 0.0:
            return hidden
        if hidden.device.type != "cpu" or hidden.element_size() not in BITS_OF:
            return functional.dropout(hidden, self.rate)
        keep = keep_mask(hidden.numel(), self.rate).view(hidden.shape)
        scale = 1.0 / (1.0 - self.rate)
        return _Drop.apply(hidden, keep, scale)  # type: ignore[no-any-return, no-untyped-call]

    def extra_repr(self) -> str:
        """For `print(model)`."""
        return f"rate={self.rate}"


def keep_mask(count: int, rate: float) -> Tensor:
    """(count,) int16: -1, all bits set, with probability 1 - rate, and else 0.

    The counter 0, 1, 2 ... goes through two multiply-and-shift rounds (the finalizer of
    MurmurHash3), each after a key from torch's generator, so that torch's seed decides the mask.
    """
    first, second = torch.randint(-(2**31), 2**31, (2,)).tolist()
    hashed = torch.arange((count + 1) // 2, dtype=torch.int32)
    hashed.mul_(-1640531527).add_(first)
    hashed.bitwise_xor_(hashed >> 16).mul_(-2048144789).add_(second)
    hashed.bitwise_xor_(hashed >> 13).mul_(-1028477387)
    hashed.bitwise_xor_(hashed >> 16)
    draws = hashed.view(torch.int16)[:count]
    # Shifts keep the sign, so each half's own sign bit is no random bit: 15 are.
    draws.bitwise_and_(0x7FFF).sub_(round(rate * 32768)).bitwise_right_shift_(15)
    return draws.bitwise_not_()


class _Drop(torch.autograd.Function):
    """hidden * scale where `keep`, else 0; the gradient likewise."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, keep: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.scale = scale
        return _scale_and_drop(hidden, keep, scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (keep,) = ctx.saved_tensors
        return _scale_and_drop(grads[0], keep, ctx.scale), None, None


def _scale_and_drop(values: Tensor, keep: Tensor, scale: float) -> Tensor:
    scaled = values * scale
    bits = BITS_OF[scaled.element_size()]
    scaled.view(bits).bitwise_and_(keep.to(bits))
    return scaled
