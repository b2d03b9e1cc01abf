"""A model whose weights, gradients and moments are spread over the processes (FSDP2).

Rajbhandari et al. 2020, ZeRO, stage 3; Zhao et al. 2023, PyTorch FSDP. Each process keeps some
rows of every weight. They are put together just before a part of the model runs, and dropped
after it; gradients are added up into the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bertsmith.types import Batch

Loss = Callable[[nn.Module, Batch], tuple[Tensor, Mapping[str, Tensor]]]
"""(model, batch) -> the scalar to minimise, and named scalars to report."""


class _Objective(nn.Module):
    """Model and loss as one module, so that all of it runs while the weights are together."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        total, named = self._loss(self.model, batch)
        return total, {name: value.detach() for name, value in named.items()}


def shard(model: nn.Module, loss: Loss, parts: Iterable[nn.Module], dtype: torch.dtype) -> Loss:
    """Spread the weights of `model`, in fp32, and return the loss that brings them together.

    `parts` of the model, none inside another, come together one at a time, the rest for the
    whole of forward and backward. It computes in `dtype`; gradients are sums, in fp32.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    device = next(model.parameters()).device
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    objective = _Objective(model, loss)
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for part in (*parts, objective):
        fully_shard(part, mesh=mesh, mp_policy=policy)
    for part in objective.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)
    return lambda _, batch: objective(batch)


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process has only some rows of `tensor`."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """All rows of `tensor`; every process must ask. What is whole is returned as it is."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def like(weight: Tensor, tensor: Tensor) -> Tensor:
    """`tensor`, whole on every process, on the device of `weight`; where `weight` is sharded and
    of the same shape, sharded alike."""
    moved = tensor.to(weight.device)
    if not is_sharded(weight) or moved.shape != weight.shape:
        return moved
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(weight, DTensor)
    return distribute_tensor(moved, weight.device_mesh, weight.placements, src_data_rank=None)
