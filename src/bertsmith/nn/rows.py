"""How many rows a matrix product should have.

On a processor oneDNN compiles a kernel for every shape of a bfloat16 product, which for a number
of rows not seen before takes longer than the product; and where that number is the inner dimension,
as in a weight's gradient, a product over 1,207 takes twice as long as one over 1,216.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

ROWS = 64
"""Numbers of rows are better multiples of this."""


def with_spare_rows(flat_TX: Tensor) -> Tensor:
    """(T, ...), on a processor with rows of zeros after it up to a multiple of ROWS."""
    spare = -len(flat_TX) % ROWS if flat_TX.device.type == "cpu" else 0
    if not spare:
        return flat_TX
    return functional.pad(flat_TX, (0, 0) * (flat_TX.ndim - 1) + (0, spare))
