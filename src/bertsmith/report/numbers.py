"""Numbers as people read them: 1.2M tokens, 38.2 %, 4 min 10 s."""

from __future__ import annotations

import math


def compact(value: float) -> str:
    """At most three digits and a unit: 950, 4.1k, 12M, 3.2B."""
    for scale, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * scale:
            return f"{_three_digits(value / scale)}{unit}"
    return _three_digits(value)


def scientific(value: float) -> str:
    """At most three digits, small values as `3e-4`."""
    if value == 0 or 1e-2 <= abs(value) < 1e4:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def percent(share: float) -> str:
    """`0.382` as `38.2 %`."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """The two largest units: `42 s`, `4 min 10 s`, `2 h 5 min`."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _three_digits(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
