"""A loss that stands still, explodes, or only looks like it."""

from __future__ import annotations

import math

import pytest

from bertsmith.engine.health import PATIENCE, ExplosionDetector, Looks, StuckDetector


def warnings(losses: list[float], entropy: float = 6.0) -> list[float]:
    """At what progress a run of these losses is warned about."""
    detector, steps = StuckDetector(entropy, warmup=0.1), len(losses)
    return [
        step / steps
        for step, loss in enumerate(losses, 1)
        if detector.update(loss, step / steps) is not None
    ]


def noisy(value: float, step: int) -> float:
    return value + 0.2 * math.sin(12.9898 * step)


def test_a_loss_at_the_entropy_is_said_more_than_once() -> None:
    said = warnings([noisy(6.02, step) for step in range(300)])
    assert 3 <= len(said) <= 6
    assert said[0] == pytest.approx(0.4, abs=0.01)


def test_a_loss_that_stays_above_the_entropy_is_said_too() -> None:
    assert warnings([40.0] * 100)


def test_a_falling_loss_is_left_alone() -> None:
    assert not warnings([noisy(9.0 - 6.0 * step / 300, step) for step in range(300)])


def test_a_slow_way_through_the_entropy_is_left_alone() -> None:
    """Half a nat over the whole run, all of it close to the line."""
    assert not warnings([noisy(6.3 - 0.5 * step / 300, step) for step in range(300)])


def test_a_loss_below_the_entropy_may_stand_still() -> None:
    assert not warnings([noisy(5.8, step) for step in range(300)])


@pytest.mark.parametrize("stops", [{30}, {25, 26, 40}, set(range(1, 100, 5))])
def test_a_run_resumed_is_warned_as_one_that_was_not(stops: set[int]) -> None:
    losses = [noisy(6.02, step) for step in range(100)]
    detector, said = StuckDetector(6.0, warmup=0.1), list[float]()
    for step, loss in enumerate(losses, 1):
        if detector.update(loss, step / 100) is not None:
            said.append(step / 100)
        if step in stops:
            kept = detector.looks.model_dump_json()
            detector = StuckDetector(6.0, warmup=0.1)
            detector.looks = Looks.model_validate_json(kept)
    assert said == warnings(losses) != []


def exploded(losses: list[float], first: float | None = None) -> bool:
    detector = ExplosionDetector(first)
    for loss in losses:
        detector.update(loss)
        if detector.has_exploded:
            return True
    return False


def test_a_jump_is_no_explosion() -> None:
    detector = ExplosionDetector()
    detector.update(10.0)
    assert detector.first_loss == 10.0
    for _ in range(5):
        for _ in range(PATIENCE - 1):
            detector.update(1e6)
            assert not detector.is_sound
            assert not detector.has_exploded
        detector.update(10.0)
        assert detector.is_sound


def test_a_loss_that_stays_up_has_exploded() -> None:
    assert exploded([10.0] + [101.0] * PATIENCE)
    assert exploded([10.0] + [5.0] * 1000 + [1e9] * PATIENCE)
    assert exploded([101.0] * PATIENCE, first=10.0)
    assert exploded([10.0] + [math.nan] * PATIENCE)


def test_worse_than_guessing_is_not_enough() -> None:
    assert not exploded([10.0] + [70.0] * 1000)


def test_a_small_first_loss_is_no_measure() -> None:
    """A classifier that is trained further begins near 0."""
    assert not exploded([1e-4] + [3.0] * 1000)
    assert exploded([1e-4] + [11.0] * PATIENCE)
