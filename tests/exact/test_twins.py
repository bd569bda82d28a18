"""The fast matcher answers what the plain one does, byte by byte: 5,000 cases here, 200,000 in the long run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kato_service.engine.model import Clearing, Deletion, Events, Learning, Operation
from kato_service.engine.rust import RustMatcher
from kato_spec.parameters import Parameters
from tests.exact.cases import Case, Shape, shapes
from tests.exact.twins import Twins, records_of
from tests.unit.engine.strategies import learnings, parameters, stms

logs = st.lists(learnings(), max_size=8)
pytestmark = pytest.mark.timeout(900)  # a loaded machine takes its time to draw thousands of cases


def small_kbs_agree(log: list[Learning], stm: Events, asked: Parameters) -> None:
    """Small enough that Hypothesis draws and shrinks every symbol."""
    twins = Twins()
    twins.apply(log)
    twins.predict(stm, asked)
    twins.check_memory()


def filled_shapes_agree(shape: Shape) -> None:
    """Long patterns, large alphabets, deletions, learnings again, loaded and learned patterns in one KB."""
    case, twins = Case(shape), Twins()
    twins.load(case.records())
    twins.apply(case.operations())
    for _ in range(3):
        stm = case.state()
        twins.predict(stm, case.parameters(stm))
    twins.check_memory()


def boundaries_agree(shape: Shape) -> None:
    """Thresholds that are a similarity itself, and the doubles beside it."""
    case, twins = Case(shape), Twins()
    twins.apply(case.operations())
    stm = case.state()
    asked = Parameters(recall_threshold=0.0, use_token_matching=bool(shape.seed % 2))
    similarities = {found["similarity"] for found in json.loads(twins.predict(stm, asked))["predictions"]}
    for similarity in sorted(similarities)[:4]:
        for threshold in (math.nextafter(similarity, 0), similarity, math.nextafter(similarity, 1)):
            twins.predict(stm, asked.model_copy(update={"recall_threshold": threshold}))


def arrival_changes_nothing(shape: Shape) -> None:
    """Learned one by one, loaded at once, in another order, and with patterns that came and went in between."""
    case, twins = Case(shape), Twins()
    twins.apply(case.operations())
    records = list(records_of(twins.plain))
    case.random.shuffle(records)
    loaded, troubled = RustMatcher(), RustMatcher()
    loaded.load(records, {})
    for record in records:
        troubled.load([record], {})
        passing = Learning("op", "0" * 40, case.state() or (("a",),))
        troubled.apply(passing)
        troubled.apply(Deletion("op", case.random.choice((record.name, passing.name))))
    troubled.load(records, {})
    troubled.apply(Deletion("op", "0" * 40))
    for _ in range(2):
        stm = case.state()
        asked = case.parameters(stm)
        wanted = twins.predict(stm, asked)
        assert loaded.predict(stm, asked) == wanted
        assert troubled.predict(stm, asked) == wanted


def clearing_agrees(log: list[Operation], stm: Events) -> None:
    """The log goes on after a clearing."""
    twins = Twins()
    twins.apply(log)
    twins.check_memory()
    twins.predict(stm, Parameters())


operations = learnings() | st.just(Clearing("op"))

PART = 25_000  # cases of one test: Hypothesis remembers every case that it has drawn
Test = Callable[..., None]
Drawn = st.SearchStrategy[tuple[object, ...]]


def cases(property_of: Callable[..., None], drawn: Drawn, *, short: int, long: int) -> tuple[Test, Test]:
    """Make of a property a test of `short` cases, and one of `long` cases for the long run, in parts of `PART`."""

    @settings(max_examples=short)
    @given(drawn)
    def test(values: tuple[object, ...]) -> None:
        property_of(*values)

    @pytest.mark.long
    @pytest.mark.timeout(7200)
    @pytest.mark.parametrize("part", range(1, math.ceil(long / PART) + 1))
    @settings(max_examples=min(long, PART))
    @given(values=drawn)
    def long_test(part: int, values: tuple[object, ...]) -> None:
        property_of(*values)

    return test, long_test


test_small, test_small_long = cases(small_kbs_agree, st.tuples(logs, stms, parameters()), short=600, long=10_000)
test_filled, test_filled_long = cases(filled_shapes_agree, st.tuples(shapes), short=3_000, long=150_000)
test_boundary, test_boundary_long = cases(boundaries_agree, st.tuples(shapes), short=700, long=25_000)
test_arrival, test_arrival_long = cases(arrival_changes_nothing, st.tuples(shapes), short=500, long=12_000)
test_clearing, test_clearing_long = cases(
    clearing_agrees, st.tuples(st.lists(operations, max_size=8), stms), short=200, long=3_000
)
