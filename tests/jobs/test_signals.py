"""The request to stop, and signals that come at the worst moment."""

from __future__ import annotations

import signal

import pytest

from bertsmith.jobs.signals import StopRequest


def test_a_second_signal_while_the_first_s_way_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    put = signal.signal
    with StopRequest() as stop:

        def interrupted(number: int, handler: object) -> object:
            monkeypatch.undo()
            stop._remember(signal.SIGINT, None)
            return put(number, handler)  # type: ignore[arg-type]

        monkeypatch.setattr(signal, "signal", interrupted)
    assert stop.exit_status == 128 + signal.SIGINT
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
