"""What is the fast matcher's own: it is installed, it survives panics and threads, it lets nothing bad in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_service.engine.matcher import new_matcher
from kato_service.engine.model import Deletion, Events, Learning, Merging, PatternRecord
from kato_service.engine.naming import pattern_name
from kato_service.engine.rust import RustMatcher
from kato_spec.errors import Rejected
from kato_spec.parameters import Parameters
from tests.exact.cases import Case, Shape
from tests.exact.twins import Twins, records_of
from tests.unit.engine.kb import learning_of

SHAPE = Shape(seed=5, alphabet=40, patterns=400, longest=12, widest=3, state=8, words=True, kin=0.4)
STM: Events = (("a",), ("b",))
pytestmark = pytest.mark.timeout(900)  # a loaded machine takes its time to build what these ask


def learned(*observed: list[str]) -> Learning:
    found = learning_of(observed, emotives=[{"joy": 1.5}], metadata=[{"src": "x"}])
    assert found is not None
    return found


def test_the_fast_matcher_is_what_serves() -> None:
    assert new_matcher().kind == "rust", "built without cargo: the tests do not count"


def test_without_the_extension_the_plain_one_serves() -> None:
    script = (
        "import sys; sys.modules['kato_service.engine._matcher'] = None\n"
        "from kato_service.engine.matcher import new_matcher\n"
        "print(new_matcher().kind)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "oracle"


@pytest.mark.parametrize("point", ["insert", "relearn", "delete", "predict"])
def test_a_panic_takes_nothing_with_it(point: str) -> None:
    first, second = learned(["a"], ["b"], ["c"]), learned(["a"], ["d"], ["unseen"])
    twins = Twins()
    twins.apply([first, learned(["b"], ["c"], ["e"]), learned(["b"], ["b"])])
    fast = twins.fast
    assert isinstance(fast, RustMatcher)
    work: dict[str, Callable[[], object]] = {
        "insert": lambda: fast.apply(second),
        "relearn": lambda: fast.apply(first),
        "delete": lambda: fast.apply(Deletion("op", first.name)),
        "predict": lambda: fast.predict(STM, Parameters()),
    }

    fast._index._panic_at(point)
    with pytest.raises(RuntimeError, match=f"injected at {point}"):
        work[point]()

    twins.check_memory()
    twins.predict(STM, Parameters(affinity_emotive="joy"))
    twins.apply([first, second, Deletion("op", first.name), first])
    twins.check_memory()
    twins.predict(STM, Parameters(affinity_emotive="joy"))


def test_readers_share_the_index() -> None:
    case, twins = Case(SHAPE), Twins()
    twins.apply(case.operations())
    asked = [(stm, case.parameters(stm)) for stm in (case.state() for _ in range(40))]
    wanted = [twins.predict(*question) for question in asked]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: twins.fast.predict(*asked[number % 40]), range(400)))

    assert found == wanted * 10


def test_readers_and_a_writer_at_once() -> None:
    """Whatever a reader sees is the KB between two operations; in the end it is the plain one's."""
    case, twins = Case(replace(SHAPE, patterns=80)), Twins()
    operations = [*case.operations(), *(Merging(f"all {number}", tuple(case.records())) for number in range(20))]
    stm = case.state()
    asked = Parameters(recall_threshold=0.0, max_predictions=100)
    possible = {twins.plain.predict(stm, asked)}
    for operation in operations:
        twins.plain.apply(operation)
        possible.add(twins.plain.predict(stm, asked))
    done = Event()

    def read() -> set[bytes]:
        seen = set()
        while not done.is_set():
            seen.add(twins.fast.predict(stm, asked))
        return seen

    with ThreadPoolExecutor(4) as threads:
        readers = [threads.submit(read) for _ in range(3)]
        for operation in operations:
            twins.fast.apply(operation)
        done.set()
        assert all(reader.result() <= possible for reader in readers)
    twins.check_memory()


def test_other_threads_run_while_it_matches() -> None:
    matcher = RustMatcher()
    case = Case(SHAPE)
    matcher.load([PatternRecord(pattern_name(e), e, 1) for e in (case._kin() for _ in range(20_000))], {})
    slow = Parameters(recall_threshold=0.0, rank_sort_algo="predictive_information", use_token_matching=False)
    started, ended = Event(), Event()

    def match() -> None:
        started.set()
        matcher.predict(case.state() + STM, slow)
        ended.set()

    with ThreadPoolExecutor(1) as threads:
        work = threads.submit(match)
        started.wait()
        turns = 0
        while not ended.is_set():
            turns += 1
        work.result()
    assert turns > 1000  # with the GIL held for the whole call there would be hardly one


def long_patterns() -> list[list[str]]:
    return [[f"s{(number * step) % 331}" for number in range(400)] for step in (1, 3)]


def test_a_state_of_100_000_symbols() -> None:
    twins = Twins()
    twins.apply(learned(*([symbol] for symbol in pattern)) for pattern in long_patterns())
    twins.apply([learned(["s1"], ["s2", "s3"], ["s5"]), learned(["s7"], ["nothing"])])
    stm = tuple((f"s{(number * number) % 331}",) for number in range(100_000))

    twins.predict(stm, Parameters(recall_threshold=0.0))


def test_an_stm_learned_at_its_longest_length() -> None:
    twins = Twins()
    twins.apply([learned(*([f"s{number % 900}"] for number in range(20_000)))])
    twins.apply([learned(["s1"], ["s2"])])

    twins.predict((("s4",), ("s5",), ("s6",)), Parameters(recall_threshold=0.0))
    twins.predict(tuple((f"s{number}",) for number in range(70)), Parameters(recall_threshold=0.0))
    twins.check_memory()


NAME = "a" * 40
BAD = {
    "name": (PatternRecord("PTRN", (("a", "b"),), 1), "name"),
    "upper-case name": (PatternRecord("A" * 40, (("a", "b"),), 1), "name"),
    "no symbol": (PatternRecord(NAME, (), 1), "events"),
    "an empty event": (PatternRecord(NAME, (("a",), ()), 1), "events"),
    "never learned": (PatternRecord(NAME, (("a",),), 0), "frequency"),
    "learned too often": (PatternRecord(NAME, (("a",),), 2**32), "frequency"),
    "too much affinity": (PatternRecord(NAME, (("a",),), 1, affinity={"joy": 2**101}), "affinity"),
    "affinity beyond 128 bits": (PatternRecord(NAME, (("a",),), 1, affinity={"joy": -(2**200)}), "affinity"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_out_of_bounds_is_refused_by_its_field(bad: str) -> None:
    record, field = BAD[bad]
    matcher = RustMatcher()
    with pytest.raises(Rejected) as refused:
        matcher.load([PatternRecord("b" * 40, (("c", "d"),), 1), record], {})
    assert refused.value.field == field
    assert not list(matcher.names())


def test_a_refused_learning_changes_nothing() -> None:
    twins = Twins()
    twins.apply([learned(["a"], ["b"])])
    for bad in (
        Learning("op", "short", (("a",), ("b",))),
        Learning("op", NAME, (("a",), ())),
        Learning("op", NAME, (("a", "z"),), affinity={"joy": 2**101}),
    ):
        with pytest.raises(Rejected):
            twins.fast.apply(bad)
    with pytest.raises(UnicodeEncodeError):
        twins.fast.apply(Learning("op", NAME, (("a", "\ud800"),)))
    twins.check_memory()
    twins.apply([Deletion("op", "no name"), Deletion("op", NAME)])
    assert twins.fast.record("no name") is None
    twins.check_memory()


def test_memory_is_told_and_comes_back() -> None:
    matcher = RustMatcher()
    empty = sum(matcher.memory().values())
    case = Case(SHAPE)
    for operation in case.operations():
        matcher.apply(operation)
    full = sum(matcher.memory().values())
    for record in list(records_of(matcher)):
        matcher.apply(Deletion("op", record.name))
    assert set(matcher.memory()) == {"patterns", "symbols", "extras", "vectors"}
    assert full > empty + 10_000
    assert matcher.totals() == RustMatcher().totals()
    assert sum(matcher.memory().values()) < full


def test_a_dump_holds_everything() -> None:
    case, twins = Case(SHAPE), Twins()
    twins.load(case.records(), {"VCTR|1": (1.0, 2.0)})
    twins.apply(case.operations())
    assert isinstance(twins.fast, RustMatcher)
    copy = RustMatcher()

    assert copy.restore(twins.fast.dump(), twins.fast.vectors())

    restored = Twins(copy)
    restored.plain = twins.plain
    restored.check_memory()
    for _ in range(20):
        stm = case.state()
        restored.predict(stm, case.parameters(stm))
    restored.apply([learned(["a"], ["b"]), Deletion("op", copy.names()[0])])
    restored.check_memory()


@given(st.data())
def test_a_damaged_dump_is_refused(data: st.DataObject) -> None:
    matcher = RustMatcher()
    matcher.apply(learned(["a"], ["b"]))
    dump = matcher.dump()
    at = data.draw(st.integers(0, len(dump) - 1))
    damaged = data.draw(
        st.sampled_from(
            (dump[:at], dump + dump[: at + 1], dump[:at] + bytes([dump[at] ^ 1 << at % 8]) + dump[at + 1 :])
        )
        | st.binary(max_size=100)
        | st.binary(max_size=100).map(lambda tail: dump[:8] + tail)
    )
    before = list(matcher.names())

    assert not matcher.restore(damaged, {})

    assert list(matcher.names()) == before
    assert RustMatcher().restore(dump, {})


def test_vectors_are_found_as_the_plain_one_finds_them() -> None:
    twins = Twins()
    case = Case(SHAPE)
    values = {f"VCTR|{n}": tuple(case.random.uniform(-1, 1) for _ in range(7)) for n in range(50)}
    values |= {"VCTR|same": values["VCTR|7"], "VCTR|zero": (0.0,) * 7, "VCTR|other": (1.0, 2.0)}
    twins.load([], dict(list(values.items())[:20]))
    twins.apply([Learning("op", NAME, (("a", "b"),), vectors=values)])
    for vector in values.values():
        for count in (1, 3, 100):
            assert twins.fast.nearest(vector, count) == twins.plain.nearest(vector, count)
    ranked = twins.fast.nearest(values["VCTR|7"], 100)
    assert all(first != second for first, second in pairwise(ranked))
    twins.check_memory()
