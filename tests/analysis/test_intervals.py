"""Intervals by formula, against scipy's."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from bertsmith.analysis.intervals import wilson


@pytest.mark.parametrize(("right", "count"), [(0, 5), (7, 10), (450, 500)])
def test_the_interval_is_scipys(right: int, count: int) -> None:
    interval = binomtest(right, count).proportion_ci(method="wilson")
    assert wilson(right / count, count) == pytest.approx((interval.low, interval.high), abs=1e-6)
