"""A corpus in memory, for plans."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from bertsmith.data.segments import Vocabulary
from bertsmith.types import IntArray


class Memory:
    """Documents of sentences of tokens, numbered from 0 throughout."""

    def __init__(self, documents: list[list[int]]) -> None:
        lengths = [length for document in documents for length in document]
        self.sentence_offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        sizes = [sum(document) for document in documents]
        self.document_offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.num_tokens = int(self.document_offsets[-1])

    def read(self, begin: int, end: int) -> IntArray:
        return np.arange(begin, end, dtype=np.int64)

    def word_starts(self, begin: int, end: int) -> np.ndarray:
        return np.arange(begin, end) % 3 == 0

    @property
    def ranges(self) -> IntArray:
        return np.stack([self.document_offsets[:-1], self.document_offsets[1:]], axis=1)


corpora = st.lists(
    st.lists(st.integers(1, 60), min_size=1, max_size=12), min_size=2, max_size=8
).map(Memory)
VOCABULARY = Vocabulary(1000, cls_id=9997, sep_id=9998, mask_id=9999, regular_ids=np.arange(997))
