"""The float operations that every machine must do alike."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from kato_service.engine.floats import left_sum, log2

ratios = st.builds(lambda over, under: over / under, st.integers(1, 10**9), st.integers(1, 10**9))


@given(ratios | st.floats(1e-18, 1e18))
def test_log2_is_within_four_units_in_the_last_place(x: float) -> None:
    with localcontext() as context:
        context.prec = 60
        true = Decimal(x).ln() / Decimal(2).ln()

    assert abs(Decimal(log2(x)) - true) <= 4 * Decimal(math.ulp(float(true)))


@given(st.integers(-1000, 1000))
def test_log2_of_a_power_of_two_is_exact(exponent: int) -> None:
    assert log2(math.ldexp(1.0, exponent)) == exponent


def test_log2_has_these_bits_on_every_machine() -> None:
    assert [log2(x).hex() for x in (3.0, 7.0, 1 / 3, 2 / 3, 0.9999999999999999, 5000.0, 1e-10)] == [
        "0x1.95c01a39fbd69p+0",
        "0x1.675767f54042dp+1",
        "-0x1.95c01a39fbd69p+0",
        "-0x1.2b803473f7ad2p-1",
        "-0x1.71547652b82fep-53",
        "0x1.8934f0979a371p+3",
        "-0x1.09c1165ec0627p+5",
    ]


def test_left_sum_rounds_after_each_addition() -> None:
    assert left_sum([0.1] * 10) == 0.9999999999999999
    assert left_sum([1e16, 1.0, -1e16]) == 0.0
    assert left_sum([]) == 0.0
