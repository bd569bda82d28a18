"""Kubernetes quantities: exact values, and comparison without losing a byte."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_spec.errors import Rejected
from kato_spec.quantities import amount, exceeds


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("0", 0),
        (7, 7),
        ("1Gi", 2**30),
        ("1.5Gi", 3 * 2**29),
        ("1k", 1000),
        ("2M", 2_000_000),
        ("1E", 10**18),
        ("1Ei", 2**60),
        ("1e3", 1000),
        ("1E3", 1000),
        ("5e-1", Fraction(1, 2)),
        ("500m", Fraction(1, 2)),
        ("1u", Fraction(1, 10**6)),
        ("1n", Fraction(1, 10**9)),
        (".5", Fraction(1, 2)),
        ("1.", 1),
        ("+1", 1),
    ],
)
def test_a_quantity_has_its_exact_value(quantity: object, value: Fraction) -> None:
    assert amount(quantity) == value


@pytest.mark.parametrize(
    "bad",
    ["", "-1", "1GB", "1 Gi", "Gi", "1gi", "1Ki5", "0x10", "1e", "1e100", "e3", ".", 1.5, None, True, -1, 2**63, "1\n"],
)
def test_what_is_no_quantity_is_refused(bad: object) -> None:
    with pytest.raises(Rejected):
        amount(bad)


def test_what_is_no_quantity_exceeds_nothing() -> None:
    assert not exceeds("much", "1")
    assert not exceeds("1", None)


@given(st.integers(0, 2**60), st.sampled_from(["Ki", "Mi", "k", "M", "m", ""]), st.integers(0, 2**60))
def test_quantities_compare_as_their_values_do(number: int, suffix: str, plain: int) -> None:
    assert exceeds(f"{number}{suffix}", plain) == (amount(f"{number}{suffix}") > plain)
    assert not exceeds(f"{number}{suffix}", f"{number}{suffix}")
