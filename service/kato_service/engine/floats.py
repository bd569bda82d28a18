"""The float operations whose last bit must not depend on the machine or on the version of Python.

Called by the metrics, the ensemble sums and the vectors. Two replicas on different processors must answer the same
bytes (engine.md, first paragraph), and the Rust twin too. Addition, multiplication, division and square root are
exact to the last bit everywhere by IEEE 754; two everyday functions are not:

- `sum()` of floats is compensated from Python 3.12 on and plain before, so `left_sum` spells it out;
- `math.log2` is the platform's libm, which differs between processors with and without FMA (seen with glibc 2.36: 681
  of 1,122,751 ratios below 1,500), so `log2` uses the five exact operations alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

_SQRT_HALF = 0.7071067811865476
_LOG2_E = 1.4426950408889634


def left_sum(values: Iterable[float]) -> float:
    """Add `values` to 0.0 one after the other, each sum rounded to a double."""
    total = 0.0
    for value in values:
        total += value
    return total


@lru_cache(maxsize=65536)
def log2(x: float) -> float:
    """Return the binary logarithm of a positive normal double, within 4 units in the last place; exact for powers of 2.

    `x = m * 2**e` with `0.5 <= m < 1`; when `m < 0.7071067811865476`, m is doubled and e is one less. With
    `s = (m - 1) / (m + 1)` and `z = s * s` the series `1 + z/3 + z**2/5 + ... + z**10/21` is taken by Horner from
    `r = 1.0 / 21`, `r = r * z + 1.0 / k` for k = 19, 17, ... 1; the result is `e + (2.0 * s * r) * 1.4426950408889634`,
    every operation rounded to a double, none fused.
    """
    mantissa, exponent = math.frexp(x)
    if mantissa < _SQRT_HALF:
        mantissa *= 2.0
        exponent -= 1
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z = s * s
    series = 1.0 / 21
    for k in range(19, 0, -2):
        series = series * z + 1.0 / k
    return exponent + (2.0 * s * series) * _LOG2_E
