"""Which device and which arithmetic, by what the hardware does fast; and why."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bertsmith.errors import ConfigError


@dataclass(frozen=True)
class Hardware:
    """Where to compute, in what type, and the reason in words."""

    device: torch.device
    dtype: torch.dtype
    reason: str

    @property
    def precision(self) -> str:
        """ "float32" or "bfloat16"."""
        return str(self.dtype).removeprefix("torch.")


def choose_hardware(device: str = "auto", precision: str = "auto") -> Hardware:
    """bfloat16 where the processor or the GPU multiplies it in hardware, else float32.

    Raises ConfigError where `device` is "cuda" and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise ConfigError("this machine has no CUDA device", where="device", mend='use "cpu"')
    use_gpu = has_gpu and device != "cpu"
    if use_gpu:
        name = torch.cuda.get_device_name()
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        reason = f"{name} {'multiplies' if fast else 'does not multiply'} bfloat16 matrices"
    else:
        instructions = bfloat16_instructions()
        fast = instructions is not None
        reason = (
            f"this processor multiplies bfloat16 matrices with {instructions}"
            if fast
            else "this processor has neither AMX nor AVX-512 BF16: bfloat16 would be slower"
        )
    dtype = torch.bfloat16 if fast else torch.float32
    if precision != "auto":
        dtype, reason = getattr(torch, precision), "as configured"
    return Hardware(torch.device("cuda" if use_gpu else "cpu"), dtype, reason)


def bfloat16_instructions() -> str | None:
    """What this processor multiplies bfloat16 matrices with; None where it would emulate them.

    AMX tiles (Intel, from Sapphire Rapids) or the dot products of AVX-512 BF16 (Intel Cooper Lake,
    AMD from Zen 4). On a Zen 5 they multiply five times as fast as float32, on AVX2 alone ten
    times slower.
    """
    if torch.cpu._is_amx_tile_supported():
        return "AMX"
    return "AVX-512 BF16" if torch.cpu._is_avx512_bf16_supported() else None
