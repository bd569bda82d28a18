"""Whatever is handed to the fast matcher, it panics at nothing, and what it refuses has not happened."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_service.engine.model import Deletion, Learning, Merging, PatternRecord
from kato_service.engine.rust import RustMatcher
from kato_spec.errors import Rejected
from kato_spec.parameters import Parameters
from tests.exact.twins import Twins
from tests.unit.engine.kb import learning_of
from tests.unit.engine.strategies import anything

NAME = "a" * 40
GOOD = Learning("op", NAME, (("a", "z"),), ({"joy": 1.0},), {"joy": 2**32}, {"src": ("x",)}, {"VCTR|1": (1.0,)})
RECORD = PatternRecord(NAME, GOOD.events, 1, GOOD.emotives, GOOD.affinity, GOOD.metadata)
# What a wrong type, an impossible text or number, and a value out of bounds raise; a panic is a RuntimeError.
REFUSALS = (TypeError, ValueError, AttributeError, OverflowError, Rejected)


def knowing() -> Twins:
    twins = Twins()
    known = learning_of([["a"], ["b"]], emotives=[{"joy": 1.5}], metadata=[{"src": "x"}])
    assert known is not None
    twins.apply([known])
    return twins


def values_of(kind: type[Learning] | type[PatternRecord]) -> st.SearchStrategy[tuple[str, Any]]:
    """Draw a field and something to stand in it."""
    names = [each.name for each in fields(kind)]
    return st.tuples(st.sampled_from(names), anything)


@given(values_of(Learning))
def test_a_learning_is_taken_whole_or_refused(bad: tuple[str, Any]) -> None:
    twins = knowing()
    try:
        twins.fast.apply(replace(GOOD, **dict([bad])))
    except REFUSALS:
        twins.check_memory()
    else:
        twins.fast.apply(Deletion("op", NAME))
    twins.fast.predict((("a",), ("z",)), Parameters())


@given(values_of(PatternRecord))
def test_records_are_taken_whole_or_refused(bad: tuple[str, Any]) -> None:
    matcher = RustMatcher()
    try:
        matcher.load([replace(RECORD, name="b" * 40), replace(RECORD, **dict([bad]))], {})
    except REFUSALS:
        assert matcher.totals() == RustMatcher().totals()
    matcher.predict((("a",), ("z",)), Parameters())


@given(anything, st.sampled_from([*Parameters.model_fields]), anything)
def test_a_question_is_answered_or_refused(stm: Any, name: str, value: Any) -> None:  # noqa: ANN401
    twins = knowing()
    asked = Parameters().model_copy(update={name: value})
    for question in ((stm, Parameters()), ((("a",),), asked)):
        with suppress(*REFUSALS):
            assert twins.fast.predict(*question).startswith(b'{"predictions":[')
    twins.check_memory()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused_by_their_field(number: float) -> None:
    twins = knowing()
    for bad, field in (({"emotives": ({"joy": number},)}, "emotives"), ({"vectors": {"VCTR|2": (number,)}}, "vectors")):
        with pytest.raises(Rejected, match="a finite number") as refused:
            twins.fast.apply(replace(GOOD, **bad))
        assert refused.value.field == field
    twins.check_memory()


def test_a_vector_that_is_none_leaves_an_empty_kb() -> None:
    matcher = RustMatcher()
    with pytest.raises(Rejected, match="a finite number"):
        matcher.load([RECORD], {"VCTR|1": (1.0,), "VCTR|2": (math.nan,)})
    assert matcher.totals() == RustMatcher().totals()
    assert not matcher.vectors()
    assert not matcher.nearest((1.0,), 3)


def test_a_merging_that_is_out_of_bounds_takes_nothing_with_it() -> None:
    twins = knowing()
    twins.apply([Merging("op", (replace(RECORD, frequency=2**31),))])
    with pytest.raises(Rejected) as refused:
        twins.fast.apply(Merging("op", (replace(RECORD, frequency=2**31),)))
    assert refused.value.field == "frequency"
    twins.check_memory()


def test_a_dump_of_a_newer_form_is_refused() -> None:
    matcher = RustMatcher()
    matcher.load([RECORD], {})
    dump = matcher.dump()
    assert not RustMatcher().restore(dump[:7] + bytes([dump[7] + 1]) + dump[8:], {})
