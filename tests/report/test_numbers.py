from __future__ import annotations

import pytest

from bertsmith.report.numbers import compact, duration, percent, scientific


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (950, "950"),
        (999.7, "1k"),
        (1000, "1k"),
        (4096, "4.1k"),
        (12_000_000, "12M"),
        (3_212_000_000, "3.21B"),
        (-4096, "-4.1k"),
        (0.25, "0.25"),
    ],
)
def test_compact(value: float, text: str) -> None:
    assert compact(value) == text


def test_the_others() -> None:
    assert percent(0.3821) == "38.2 %"
    assert [duration(s) for s in (0.4, 42, 250, 7500)] == [
        "0 s",
        "42 s",
        "4 min 10 s",
        "2 h 5 min",
    ]
    assert [scientific(v) for v in (0, 3e-4, 1.5e-3, 0.02, 1)] == [
        "0",
        "3e-4",
        "1.5e-3",
        "0.02",
        "1",
    ]
