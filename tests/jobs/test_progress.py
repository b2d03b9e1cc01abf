"""The line of a long job off a terminal."""

from __future__ import annotations

import pytest

from bertsmith.jobs import progress


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        # A run that goes on at 90 % after minutes of work has not done those 90 % in a second.
        ([(0.0, 0.90), (20.0, 0.92)], "training: 92 % loss 1, 80 s left\n"),
        ([(20.0, 0.50)], "training: 50 % loss 1\n"),  # nothing is made up from one look
    ],
)
def test_time_left_is_of_what_this_stretch_has_done(
    seen: list[tuple[float, float]],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with progress.Bar("training", 1.0) as bar:
        for seconds, done in seen:
            clock[0] += seconds
            bar.update(done, "loss 1")
    assert capsys.readouterr().err == said
