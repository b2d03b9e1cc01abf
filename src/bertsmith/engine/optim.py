"""AdamW and Muon over fp32 master weights, and the learning-rate schedules.

Where the model computes in bfloat16 the optimizer keeps the weights in fp32 and writes the
rounded copy back after each step; where it computes in fp32 the two are the same memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bertsmith.config import OptimConfig
from bertsmith.engine.distributed import ALONE, Group
from bertsmith.engine.sharding import is_sharded, like, whole
from bertsmith.errors import CheckpointError

Schedule = Callable[[float], float]
"""Progress through the run, 0 to 1, to a factor on the peak learning rate."""

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
MUON_MOMENTUM = 0.95


def make_schedule(config: OptimConfig) -> Schedule:
    """Linear warm-up, then linear decay to 0, or a plateau before it (WSD, Hu et al. 2024)."""
    plateau = 0.0 if config.decay == "linear" else 1.0 - config.decay_share

    def factor(progress: float) -> float:
        if progress < config.warmup:
            return progress / config.warmup
        start = max(config.warmup, plateau)
        return 1.0 if progress < start else max(0.0, (1.0 - progress) / (1.0 - start))

    return factor


class Optimizer:
    """One step of every weight that is not frozen: clip, update, write back.

    `is_hidden_matrix(name, weight)` says which weights Muon takes where the config asks for
    it; vectors (biases, norms) are never decayed. `rates` multiply the peak rates of the weights
    that they name. The gradients of all in `group` are added up.
    Of a sharded model the weights and moments stay sharded, and what goes in and out is whole;
    every process must then call the same methods. `dtype` is what the model computes in, where
    that is not the type of its weights.
    """

    def __init__(
        self,
        model: nn.Module,
        config: OptimConfig,
        is_hidden_matrix: Callable[[str, Tensor], bool] = lambda name, _: ".layers." in name,
        group: Group = ALONE,
        dtype: torch.dtype | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        self._clip, self._group = config.grad_clip, group
        self._model: dict[str, Tensor] = {
            name: weight for name, weight in model.named_parameters() if weight.requires_grad
        }
        self._master = {name: _fp32(weight) for name, weight in self._model.items()}
        muon = {
            name
            for name, weight in self._master.items()
            if config.name == "muon" and weight.ndim == 2 and is_hidden_matrix(name, weight)
        }
        rest = {name: weight for name, weight in self._master.items() if name not in muon}
        decay, rates = config.weight_decay, rates or {}
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                _groups(rest, config.lr, decay, rates),
                betas=(config.beta1, config.beta2),
                eps=config.eps,
                fused=True,
            )
        ]
        if muon:
            matrices = {name: self._master[name] for name in sorted(muon)}
            computed = dtype or next(iter(self._model.values())).dtype
            groups = _groups(matrices, config.muon_lr, decay, rates)
            self._parts.append(Muon(groups, config.muon_lr, decay, computed))

    def collect(self) -> None:
        """Add to the step's gradients what a backward pass has left, in fp32.

        To be called between two of them: in bfloat16 every sum would be rounded.
        """
        for name, weight in self._model.items():
            master = self._master[name]
            if master is weight or weight.grad is None:
                continue
            gradient = weight.grad.to(torch.float32)
            master.grad = gradient if master.grad is None else master.grad.add_(gradient)
            weight.grad = None

    def step(self, factor: float) -> float:
        """Update every weight at `factor` times the peak rates; the gradient's L2 norm.

        Weights without a gradient, and with a norm that is not finite all of them, stay as they
        were.
        """
        self.collect()
        gradients = [w.grad for w in self._master.values() if w.grad is not None]
        if self._group.size > 1 and not is_sharded(gradients[0]):  # else they are added up already
            self._group.add_up(gradients)
        norm = whole(torch.nn.utils.get_total_norm(gradients))
        if bool(norm.isfinite()):
            if norm > self._clip:
                torch._foreach_mul_(gradients, float(self._clip / norm))
            for part in self._parts:
                for group in part.param_groups:
                    group["lr"] = group["peak"] * factor
                part.step()
            self._write_back()
        for weight in (*self._model.values(), *self._master.values()):
            weight.grad = None
        return float(norm)

    @torch.no_grad()
    def _write_back(self) -> None:
        rounded = [w for name, w in self._model.items() if self._master[name] is not w]
        if rounded:
            exact = [m for name, m in self._master.items() if self._model[name] is not m]
            torch._foreach_copy_(rounded, exact)

    def weights(self) -> dict[str, Tensor]:
        """The fp32 weights by name, as they are (no copies, unless they are sharded)."""
        return {name: whole(weight.detach()) for name, weight in self._master.items()}

    def state(self) -> dict[str, Tensor]:
        """Weights and moments as flat tensors: "weights.NAME", "exp_avg.NAME", ..."""
        tensors = {f"weights.{name}": weight for name, weight in self.weights().items()}
        for name, weight in self._master.items():
            for part in self._parts:
                for key, value in part.state.get(weight, {}).items():
                    tensors[f"{key}.{name}"] = whole(value.detach())
        return tensors

    def shapes(self) -> dict[str, torch.Size]:
        """The shape of every tensor that `state` can give, all of them fp32."""
        return {
            f"{kind}.{name}": torch.Size() if kind == "step" else weight.shape
            for name, weight in self._master.items()
            for kind in ("weights", *_moments(self._part_of(weight)))
        }

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave. Raises CheckpointError where it is of another model.

        Everything is checked before anything is changed.
        """
        _require_fit(tensors, self.shapes(), self._master)
        for name, weight in self._master.items():
            weight.copy_(like(weight, tensors[f"weights.{name}"]))
            part = self._part_of(weight)
            moments = {
                kind: like(weight, tensors[f"{kind}.{name}"]).clone()
                for kind in _moments(part)
                if f"{kind}.{name}" in tensors
            }
            if moments:
                part.state[weight] = moments
        self._write_back()

    def _part_of(self, weight: Tensor) -> torch.optim.Optimizer:
        """The optimizer that updates `weight`."""
        for part in self._parts[1:]:
            if any(weight is w for group in part.param_groups for w in group["params"]):
                return part
        return self._parts[0]


def _groups(
    weights: Mapping[str, Tensor], peak: float, decay: float, rates: Mapping[str, float]
) -> list[dict[str, Any]]:
    """One for each peak rate, matrices and vectors apart."""
    found: dict[tuple[float, float], list[Tensor]] = {}
    for name, weight in weights.items():
        kind = peak * rates.get(name, 1.0), decay if weight.ndim >= 2 else 0.0
        found.setdefault(kind, []).append(weight)
    return [
        {"params": some, "lr": rate, "peak": rate, "weight_decay": own}
        for (rate, own), some in found.items()
    ]


def _moments(part: torch.optim.Optimizer) -> tuple[str, ...]:
    """What `part` remembers of each weight, once it has updated it."""
    return ("momentum",) if isinstance(part, Muon) else ("exp_avg", "exp_avg_sq", "step")


def _require_fit(
    tensors: Mapping[str, Tensor], shapes: Mapping[str, torch.Size], names: Iterable[str]
) -> None:
    """Raise CheckpointError unless each of `names` has its weight, and its moments all or none."""
    mend = "resume with the config that the run began with, or give another --out"
    kinds = sorted({key.partition(".")[0] for key in shapes} - {"weights"})
    whole = {f"weights.{name}" for name in names}
    for name in {key.partition(".")[2] for key in tensors.keys() - whole}:
        whole |= {key for kind in kinds if (key := f"{kind}.{name}") in shapes}
    if tensors.keys() != whole:
        odd = min(tensors.keys() ^ whole)
        raise CheckpointError(f"the checkpoint and the model differ, first in {odd!r}", mend=mend)
    for key, tensor in tensors.items():
        if tensor.shape != shapes[key] or tensor.dtype != torch.float32:
            raise CheckpointError(
                f"{key!r} is {list(tensor.shape)} of {tensor.dtype} in the checkpoint, and "
                f"{list(shapes[key])} of torch.float32 in the model",
                mend=mend,
            )


def _fp32(weight: Tensor) -> Tensor:
    if weight.dtype is torch.float32:
        return weight
    return weight.detach().to(torch.float32).requires_grad_()


class Muon(torch.optim.Optimizer):
    """Momentum whose step is orthogonalised (Jordan et al. 2024), with decoupled decay.

    The update rule is torch.optim.Muon's. This one exists because torch's always multiplies
    in bfloat16, which without bfloat16 hardware takes longer than the training step itself,
    and takes matrices one by one; here those of one shape go through the iteration together,
    in `dtype`, the type that the model computes in. Directions of sharded matrices are put
    together for that, everywhere alike; momentum stays sharded.
    """

    def __init__(
        self,
        matrices: Sequence[Tensor] | Sequence[dict[str, Any]],
        lr: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        """`matrices` may be groups of them, as torch's optimizers take them."""
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape.setdefault(matrix.shape, []).append(matrix)
            for (rows, columns), matrices in by_shape.items():
                stacked = whole(torch.stack([self._direction(m) for m in matrices]))
                directions = orthogonalise(stacked, self._dtype)
                lr = group["lr"] * max(1.0, rows / columns) ** 0.5
                for matrix, direction in zip(matrices, directions, strict=True):
                    matrix.mul_(1.0 - group["lr"] * group["weight_decay"])
                    matrix.add_(like(matrix, direction), alpha=-lr)

    def _direction(self, matrix: Tensor) -> Tensor:
        """Nesterov momentum."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(matrix)
        momentum: Tensor = state["momentum"].lerp_(matrix.grad, 1.0 - MUON_MOMENTUM)
        return matrix.grad.lerp(momentum, MUON_MOMENTUM)


def orthogonalise(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """U V^T, nearly, of each (m, n) matrix U S V^T in (k, m, n): Newton-Schulz, quintic.

    Computed in `dtype`: bfloat16 where that is fast, as Jordan et al. do, or float32.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalise(matrices.mT, dtype).mT
    scaled = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    iterate = _iterate_gram if dtype is torch.float32 else _iterate
    return iterate(scaled.to(dtype)).to(matrices.dtype)


def _iterate(x: Tensor) -> Tensor:
    """x = a x + (b x x^T + c (x x^T)^2) x, on the matrices themselves."""
    a, b, c = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _iterate_gram(x: Tensor) -> Tensor:
    """The same on the small m x m Gram matrix G.

    Each step's polynomial p commutes with G, so that G becomes p(G)^2 G and one product at the
    end applies all of them. That halves the work, and needs fp32: five steps magnify the
    rounding of G's smallest eigenvalues 200,000 times.
    """
    a, b, c = NEWTON_SCHULZ
    gram = x @ x.mT
    identity = torch.eye(gram.shape[1], device=gram.device).expand_as(gram)
    product = identity
    for _ in range(NEWTON_SCHULZ_STEPS):
        polynomial = a * identity + torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        product = polynomial @ product
        gram = polynomial @ (polynomial @ gram)
    return product @ x
