"""The three shapes that data takes between the corpus and the model, and one that comes out.

    Segment       one input sequence, clean: what the corpus says
    Example       one input sequence, corrupted, with what is to be predicted
    Batch         many examples end to end, without padding
    WordVectors   words, a vector for each

Shape legend, used in every signature: T tokens of a batch, B sequences of a batch, S the
longest sequence, n tokens of one sequence, D hidden size, H heads, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

NO_PAIR = -1
"""`Segment.pair_label` of a segment that is no pair."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One clean input sequence, special tokens included.

    `word_starts` marks the first token of every word; special tokens start a word of
    their own. `pair_label` follows Hugging Face: 0 where B follows A (or the order is
    right), 1 where it does not, NO_PAIR where there is no B.
    """

    input_ids: IntArray  # (n,)
    token_type_ids: IntArray  # (n,)
    is_special: BoolArray  # (n,)
    word_starts: BoolArray  # (n,)
    pair_label: int = NO_PAIR


@dataclass(frozen=True, slots=True)
class Example:
    """One model input with its targets.

    What a decoder reads, and says at each of these places, is given for an encoder-decoder.
    """

    input_ids: IntArray  # (n,)
    token_type_ids: IntArray  # (n,)
    mlm_positions: IntArray | None = None  # (k,) positions in this sequence
    mlm_labels: IntArray | None = None  # (k,) token ids
    label: int | float | tuple[float, ...] | tuple[int, ...] | None = None  # of all of it
    decoder_input_ids: IntArray | None = None  # (m,)
    decoder_labels: IntArray | None = None  # (m,) token ids
    token_targets: Mapping[str, IntArray | Float32Array] = field(default_factory=dict)
    """(n, ...), a row a token, or a row for some of them."""


def itself(number: torch.Tensor) -> torch.Tensor:
    """Everyone's sum of a number, where there is nobody else."""
    return number


@dataclass(frozen=True, slots=True, eq=False)
class WordVectors:
    """N different words, the most frequent one first, and a vector for each."""

    words: tuple[str, ...]
    vectors: Float32Array  # (N, D)


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples laid end to end: no padding, no mask.

    Sequences are ordered by length, longest first, so that the CPU's attention can take
    them in dense groups; `indices` says which example each one is. `decoder`, where there is
    one, holds what the decoder reads, sequence by sequence in this batch's order, whatever
    their lengths.

    This may be a share of a batch, one process' of several or one micro-batch of several: a mean
    over it is then divided by the `total` of what it counts, so that the shares' losses add up to
    the whole's.
    """

    input_ids: torch.Tensor  # (T,) int64
    token_type_ids: torch.Tensor  # (T,) int64
    position_ids: torch.Tensor  # (T,) int64, from 0 in every sequence
    lengths: tuple[int, ...]  # B entries, descending where no decoder reads them
    indices: tuple[int, ...]  # B entries: which example of its source each sequence is
    targets: Mapping[str, torch.Tensor] = field(default_factory=dict)
    decoder: Batch | None = None
    parts: tuple[Batch, ...] = ()
    """The micro-batches of this process' share, this one among them; none where it is whole."""
    add_up: Callable[[torch.Tensor], torch.Tensor] = itself
    """A number of this process' to the sum of everyone's."""
    weight: int = 1
    """0: a stand-in for an empty share, which counts for nothing."""

    def total(self, count: Callable[[Batch], int | torch.Tensor]) -> torch.Tensor:
        """() `count` of a batch, such as its masked tokens, in all the shares together; 1 where
        there is none. What a mean is divided by."""
        own = sum(count(part) * part.weight for part in self.parts or (self,))
        return self.add_up(self.input_ids.new_zeros(()) + own).clamp(min=1)

    @property
    def num_tokens(self) -> int:
        """T; those of the decoder are not counted."""
        return int(self.input_ids.shape[0])

    @property
    def num_sequences(self) -> int:
        """B."""
        return len(self.lengths)

    @property
    def cu_seqlens(self) -> IntArray:
        """(B+1,) where each sequence starts, and T."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on `device`."""

        def move(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(device, non_blocking=True)

        changed: dict[str, Any] = {
            name: move(getattr(self, name))
            for name in ("input_ids", "token_type_ids", "position_ids")
        }
        changed["targets"] = {name: move(value) for name, value in self.targets.items()}
        changed["decoder"] = None if self.decoder is None else self.decoder.to(device)
        return replace(self, **changed)


def as_one(batches: Sequence[Batch]) -> list[Batch]:
    """`batches` as the micro-batches of one: what is a mean over it adds up over them."""
    return [replace(batch, parts=tuple(batches)) for batch in batches]
