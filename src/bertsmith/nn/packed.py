"""Linear layers whose weights already lie as the processor's bfloat16 kernels read them.

torch gives oneDNN the weights in rows and has them reordered in every call. Where nothing is
trained that can be done once: a tenth of the time of a small encoder.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

PACKED_ROWS = 4096
"""Rows of a usual input; the kernel's choice of a layout depends on it, its results do not."""


class PackedLinear(nn.Module):
    """A bias and packed weights out of a linear layer, for inference alone."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_ROWS)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            hidden, self.packed, self.bias, "none", [], ""
        )
        return product


def can_pack() -> bool:
    """Whether this torch and this processor (from AVX-512 on) have the kernels."""
    names = ("_reorder_linear_weight", "_is_mkldnn_bf16_supported")
    if not all(hasattr(torch.ops.mkldnn, name) for name in names):
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def pack_linears(module: nn.Module) -> None:
    """Pack every linear layer in `module` that is in bfloat16 on a processor, in place.

    Others stay as they are, and all of them where this torch or this processor has no such kernels.
    """
    if not can_pack():
        return
    for name, part in module.named_children():
        if not isinstance(part, nn.Linear):
            pack_linears(part)
        elif part.weight.dtype == torch.bfloat16 and part.weight.device.type == "cpu":
            setattr(module, name, PackedLinear(part))
