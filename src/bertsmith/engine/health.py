"""Is the run learning? Two things that a loss can do instead: stand still, and explode."""

from __future__ import annotations

import math

from bertsmith.schema import Config

LEARNED = 0.1
"""Nats below the unigram entropy from which on a model must be using context."""
FALLING = 0.05
"""Nats that a loss above that has to fall by, from one look to the next, to be left alone."""
INTERVAL = 0.15
"""Share of the run that each look takes the mean over, beginning at the end of the warm-up."""
EXPLODED = 10.0
"""Times the run's first loss; see ExplosionDetector."""
PATIENCE = 10
"""Steps in a row."""


class Looks(Config):
    """Where a StuckDetector stands: the losses since its last look, and what that saw."""

    sum: float = 0.0
    count: int = 0
    next: float | None = None
    """Progress at the next look."""
    before: float | None = None
    """The mean loss at the last one."""


class StuckDetector:
    """Says when the masked-LM loss stays at the entropy of the token frequencies.

    A model that ignores context predicts the frequencies, and its loss is then their
    entropy, whatever its size: the plateau that a bad learning rate never leaves. A loss that
    still falls is left alone, however slowly it passes that line.
    """

    def __init__(self, unigram_entropy: float, warmup: float) -> None:
        self._entropy, self._begin = unigram_entropy, warmup
        self.looks = Looks()
        """What a resumed run takes over."""

    def update(self, mlm_loss: float, progress: float) -> str | None:
        """A warning in one line, or None. `mlm_loss` in nats, `progress` from 0 to 1."""
        if progress < self._begin:
            return None
        looks = self.looks
        total, count = looks.sum + mlm_loss, looks.count + 1
        following = progress + INTERVAL if looks.next is None else looks.next
        if progress < following:
            self.looks = Looks(sum=total, count=count, next=following, before=looks.before)
            return None
        before, now = looks.before, total / count
        self.looks = Looks(next=progress + INTERVAL, before=now)
        if before is None or now < self._entropy - LEARNED or now < before - FALLING:
            return None
        return (
            f"the masked-LM loss stays at {now:.2f}; guessing by word frequency alone, it would be "
            f"{self._entropy:.2f}, the corpus' unigram entropy: no context is used yet. Usual "
            "causes: a peak learning rate too high for a post-norm encoder, or too low for the "
            "budget; a short warm-up; a budget of too few tokens. The `modern` recipe leaves this "
            "plateau soonest."
        )


class ExplosionDetector:
    """Tells a loss that has exploded from one that jumps.

    Exploded is a loss above EXPLODED times the run's first one (or 1 nat, where that was less)
    at PATIENCE steps in a row. A network that knows nothing begins near the loss of guessing
    blindly, and any network can go back to that by predicting a constant: so a run that learns,
    or is stuck, or jumps and recovers, has no business at ten times as much, ten times running.
    Runs at rates far too high stood at a hundred times and more.

    Others: Megatron-LM marks ten times the largest of the first hundred losses; LLM Foundry
    stops at twice the moving average, four times running, which a slow explosion drags along.
    """

    def __init__(self, first_loss: float | None = None) -> None:
        """`first_loss` is the run's, where it is not at its beginning."""
        self.first_loss = first_loss
        self._in_a_row = 0

    @property
    def is_sound(self) -> bool:
        """Whether the last loss was below the limit."""
        return self._in_a_row == 0

    @property
    def has_exploded(self) -> bool:
        """Whether the run is lost."""
        return self._in_a_row >= PATIENCE

    def update(self, loss: float) -> None:
        """Take in the loss of the next step."""
        if self.first_loss is None and math.isfinite(loss):
            self.first_loss = loss
        limit = EXPLODED * max(1.0, self.first_loss or 0.0)
        self._in_a_row = 0 if loss < limit else self._in_a_row + 1
