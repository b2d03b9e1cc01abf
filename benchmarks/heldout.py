"""Models of different recipes on the same held-out text with the same tokens masked."""

from __future__ import annotations

from pathlib import Path

from bertsmith.config import resolve
from bertsmith.export.networks import load_masked_lm
from bertsmith.jobs.setup import evaluate, prepare
from bertsmith.recipes.base import find
from bertsmith.text.corpus import Corpus

HELD_OUT_SHARE = 0.01
"""That runs leave out where nothing else is configured."""
MASK_RATE = 0.15
EVAL_TOKENS = 100_000


class HeldOut:
    """The documents of a corpus that no run on it sees, 15 % of their tokens to be predicted.

    They are `share` of it.
    """

    def __init__(self, corpus: Corpus, share: float = HELD_OUT_SHARE) -> None:
        changes = {
            "data": {"mask_rate": MASK_RATE, "heldout_share": share},
            "budget": {"minutes": None, "tokens": 100 * EVAL_TOKENS},
            "log": {"eval_tokens": EVAL_TOKENS},
        }
        self._setup = prepare(resolve(find("modern").config, changes), corpus)
        self._batches = self._setup.heldout_batches()

    def loss_and_accuracy(self, model: Path) -> tuple[float, float]:
        """Of the masked LM in a model folder, ours or transformers': nats, and a share."""
        scores = evaluate(load_masked_lm(model), self._setup, self._batches)
        return scores["mlm_loss"], scores["mlm_accuracy"]
