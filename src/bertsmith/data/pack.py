"""Examples -> flat batches: which go together, and how they are laid end to end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import torch

from bertsmith.types import Batch, Example, Float32Array, IntArray


def batch_bounds(
    lengths: IntArray, batch_tokens: int, batch_sequences: int | None = None
) -> IntArray:
    """(batches + 1,) where each batch begins, when sequences are taken in the order given.

    A batch holds as many as fit in `batch_tokens` (at least one), and at most
    `batch_sequences`.
    """
    ends = np.cumsum(lengths).data  # a memoryview: its numbers are Python's, and come faster
    most = batch_sequences or batch_tokens  # a sequence has one token at least
    bounds, used = [0], 0
    while bounds[-1] < len(lengths):
        begin = bounds[-1]
        fit = bisect_right(ends, used + batch_tokens, begin, min(begin + most, len(lengths)))
        bounds.append(max(fit, begin + 1))
        used = ends[bounds[-1] - 1]
    return np.array(bounds, dtype=np.int64)


def share_out(lengths: IntArray, rank: int, world_size: int) -> IntArray:
    """(k,) which of a batch's sequences are for `rank`, in their order.

    They are dealt out longest first, to ranks 0, 1, .. and back again, so that all have much
    the same number of tokens: they differ by the longest sequence at most. A rank gets none
    where there are fewer sequences than ranks.
    """
    rounds, places = np.divmod(np.arange(len(lengths)), world_size)
    owners = np.where(rounds % 2 == 0, places, world_size - 1 - places)
    return np.sort(np.argsort(-lengths, kind="stable")[owners == rank])


def collate(examples: Sequence[Example], indices: Sequence[int]) -> Batch:
    """Lay `examples` end to end, longest first; none make an empty batch.

    `indices` are what to call them.

    Targets: "mlm_positions" (M,) into the flat batch and "mlm_labels" (M,), where examples
    have them; "labels", where they have a label: (B,) or (B, numbers), int64 or float32;
    each of their token targets end to end, by its own name. What a decoder reads is a
    batch of its own, its target "decoder_labels" one for each token.
    """
    order = sorted(range(len(examples)), key=lambda i: -len(examples[i].input_ids))
    taken = [examples[i] for i in order]
    lengths = [len(example.input_ids) for example in taken]
    starts = np.cumsum([0, *lengths])[:-1]
    targets: dict[str, torch.Tensor] = {}
    if taken and taken[0].mlm_positions is not None:
        positions = [
            example.mlm_positions + start
            for example, start in zip(taken, starts, strict=True)
            if example.mlm_positions is not None
        ]
        labels = [example.mlm_labels for example in taken if example.mlm_labels is not None]
        targets["mlm_positions"] = torch.from_numpy(np.concatenate(positions))
        targets["mlm_labels"] = torch.from_numpy(np.concatenate(labels))
    if taken and taken[0].label is not None:
        values = [example.label for example in taken]
        first = values[0][0] if isinstance(values[0], tuple) else values[0]
        kind = torch.float32 if isinstance(first, float) else torch.int64
        targets["labels"] = torch.tensor(values, dtype=kind)
    for name in taken[0].token_targets if taken else ():
        targets[name] = _join([example.token_targets[name] for example in taken])
    return Batch(
        input_ids=_join([example.input_ids for example in taken]),
        token_type_ids=_join([example.token_type_ids for example in taken]),
        position_ids=_positions(lengths),
        lengths=tuple(lengths),
        indices=tuple(int(indices[i]) for i in order),
        targets=targets,
        decoder=_decoder_batch(taken, [int(indices[i]) for i in order]),
    )


def _decoder_batch(taken: Sequence[Example], indices: Sequence[int]) -> Batch | None:
    """What the decoder reads of `taken`, in their order; None where there is no decoder."""
    inputs = [e.decoder_input_ids for e in taken if e.decoder_input_ids is not None]
    labels = [e.decoder_labels for e in taken if e.decoder_labels is not None]
    if not inputs:
        return None
    lengths = [len(ids) for ids in inputs]
    return Batch(
        input_ids=_join(inputs),
        token_type_ids=torch.zeros(sum(lengths), dtype=torch.int64),
        position_ids=_positions(lengths),
        lengths=tuple(lengths),
        indices=tuple(indices),
        targets={"decoder_labels": _join(labels)} if labels else {},
    )


def _positions(lengths: Sequence[int]) -> torch.Tensor:
    return _join([np.arange(length, dtype=np.int64) for length in lengths])


def _join(parts: Sequence[IntArray | Float32Array]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(parts or [np.zeros(0, np.int64)]))
