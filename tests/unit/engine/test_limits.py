"""Bad input at the engine's boundary: each is refused with its field, its value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_service.engine import limits
from kato_spec.errors import Rejected
from tests.unit.engine.strategies import anything

LONGEST = "é" * (limits.MAX_SYMBOL_BYTES // 2)
Check = Callable[[str, object], object]

REFUSED: list[tuple[Check, object, str]] = [
    (limits.text, None, "x"),
    (limits.text, 1, "x"),
    (limits.text, b"a", "x"),
    (limits.text, LONGEST + "a", "x"),
    (limits.text, "\ud800", "x"),
    (limits.strings, "ab", "x"),
    (limits.strings, None, "x"),
    (limits.strings, ["a", None], "x[1]"),
    (limits.strings, ["a", 1.0], "x[1]"),
    (limits.strings, [["a"]], "x[0]"),
    (limits.events, [["a"], "b"], "x[1]"),
    (limits.events, [["a"], [True]], "x[1][0]"),
    (limits.events, [["a"] * limits.MAX_STM_SYMBOLS, ["a"]], "x"),
    (limits.number, math.nan, "x"),
    (limits.number, math.inf, "x"),
    (limits.number, -math.inf, "x"),
    (limits.number, 1.0000001e15, "x"),
    (limits.number, 10**400, "x"),
    (limits.number, True, "x"),
    (limits.number, "1", "x"),
    (limits.emotives, [("joy", 1.0)], "x"),
    (limits.emotives, {"joy": None}, "x.joy"),
    (limits.emotives, {"joy": math.nan}, "x.joy"),
    (limits.emotives, {1: 1.0}, "x"),
    (limits.metadata, "src", "x"),
    (limits.metadata, {"src": 1}, "x.src"),
    (limits.metadata, {"src": ["a", None]}, "x.src[1]"),
    (limits.metadata, {"\udfff": "a"}, "x"),
]


@pytest.mark.parametrize(("check", "value", "field"), REFUSED)
def test_refused(check: Check, value: object, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        check("x", value)

    assert caught.value.field == field
    assert caught.value.allowed


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ([[1.0, math.nan]], "x[0][1]"),
        ([[1.0], [math.inf]], "x[1][0]"),
        ([1.0], "x[0]"),
        ([[]], "x[0]"),
        ({}, "x"),
        ([[True]], "x[0][0]"),
    ],
)
def test_refused_vectors(value: object, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        limits.vectors("x", value, None)

    assert caught.value.field == field


@pytest.mark.parametrize(("value", "expected"), [([[1.0, 2.0]], 3), ([[1.0, 2.0, 3.0], [1.0, 2.0]], None)])
def test_a_vector_of_another_dimension_names_both(value: object, expected: int | None) -> None:
    with pytest.raises(limits.VectorDimension) as caught:
        limits.vectors("vectors", value, expected)

    assert (caught.value.expected, caught.value.actual) == (3, 2)
    assert "2 dimensions" in str(caught.value)
    assert "3 dimensions" in str(caught.value)


def test_what_is_allowed_comes_back_in_the_engines_types() -> None:
    assert limits.strings("x", ["", LONGEST, "\x00"]) == ("", LONGEST, "\x00")
    assert limits.events("x", [["b", "a"], [], ("c",)]) == (("b", "a"), ("c",))
    assert limits.emotives("x", MappingProxyType({"": 1, "joy": -1e15})) == {"": 1.0, "joy": -1e15}
    assert limits.metadata("x", {"src": "a", "by": ["b", "c"]}) == {"src": ("a",), "by": ("b", "c")}
    assert limits.vectors("x", [[1, 2.5], (0, -0.0)], 2) == ((1.0, 2.5), (0.0, 0.0))
    assert limits.vectors("x", [], 2) == ()
    assert all(type(number) is float for number in limits.emotives("x", {"joy": 1}).values())


CHECKS: tuple[Check, ...] = (
    limits.text,
    limits.number,
    limits.strings,
    limits.events,
    limits.emotives,
    limits.metadata,
    lambda field, value: limits.vectors(field, value, None),
)


@given(st.sampled_from(CHECKS), anything)
def test_whatever_comes_is_taken_or_refused_by_its_field(check: Check, value: object) -> None:
    refusal = refused(check, value)
    if refusal is not None:
        assert refusal.field.startswith("x")
        assert refusal.allowed
        assert len(str(refusal)) < 500


def refused(check: Check, value: object) -> Rejected | None:
    try:
        check("x", value)
    except Rejected as refusal:
        return refusal
    return None
