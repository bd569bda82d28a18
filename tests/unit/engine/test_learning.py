"""From an STM to a learning, and from learnings to a pattern."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from kato_service.engine import learning
from kato_service.engine.fold import learned, mean_emotives
from kato_service.engine.model import AFFINITY_ONE, Emotives, Learning, PatternRecord
from kato_service.engine.naming import bare_name, event_of, pattern_name, shown_name
from tests.unit.engine.strategies import emotives, learnings, metadata

EVENTS = (("a", "b"), ("c",))


def built(
    window: tuple[Emotives, ...] = (), persistence: int = 5, notes: tuple[dict[str, list[str]], ...] = ()
) -> Learning:
    found = learning.build("op", EVENTS, emotives=window, metadata=notes, persistence=persistence)
    assert found is not None
    return found


def folded(*log: Learning) -> PatternRecord:
    record: PatternRecord | None = None
    for found in log:
        record = learned(record, found)
    assert record is not None
    return record


def test_an_event_is_sorted_by_code_point_unless_asked_not_to() -> None:
    assert event_of(["b", "\U0001f600", "\uffff", "a", "b"], ["VCTR|1"], sort=True) == (
        "VCTR|1",
        "a",
        "b",
        "b",
        "\uffff",
        "\U0001f600",
    )
    assert event_of(["b", "a"], ["VCTR|1"], sort=False) == ("b", "a", "VCTR|1")
    assert event_of([], [], sort=True) == ()


def test_both_spellings_of_a_name() -> None:
    name = pattern_name(EVENTS)

    assert shown_name(name) == f"PTRN|{name}"
    assert bare_name(shown_name(name)) == bare_name(name) == name


def test_fewer_than_two_symbols_are_not_learned() -> None:
    assert learning.build("op", ()) is None
    assert learning.build("op", (("a",),)) is None
    assert learning.build("op", (("",), ("",))) is not None


def test_a_learning_is_complete_in_itself() -> None:
    found = learning.build(
        "session.7",
        EVENTS,
        emotives=[{}, {"joy": 1.0}, {"fear": 0.5, "joy": 2.0}],
        metadata=[{"src": ["y", "x"]}, {}, {"src": ["x"], "by": []}],
        vectors={"VCTR|1": (1.0, 2.0)},
        persistence=2,
    )

    assert found == Learning(
        op_id="session.7",
        name="e9e43f2309079f2843665ab773996d99489306d6",
        events=EVENTS,
        emotives=({"joy": 1.0}, {"fear": 0.5, "joy": 2.0}),
        affinity={"fear": AFFINITY_ONE // 2, "joy": AFFINITY_ONE * 3 // 2},
        metadata={"by": (), "src": ("x", "y")},
        vectors={"VCTR|1": (1.0, 2.0)},
        persistence=2,
    )


def test_affinity_rounds_half_to_even() -> None:
    half = 0.5 / AFFINITY_ONE

    assert learning.mean_affinity([{"a": half, "b": 3 * half, "c": -half, "d": -3 * half}]) == {
        "a": 0,
        "b": 2,
        "c": 0,
        "d": -2,
    }


@given(st.lists(emotives, max_size=6))
def test_affinity_is_the_exact_mean_in_any_order(dictionaries: list[dict[str, float]]) -> None:
    found = learning.mean_affinity(dictionaries)

    assert found == learning.mean_affinity(reversed(dictionaries))
    for name, fixed in found.items():
        values = [Fraction(row[name]) for row in dictionaries if name in row]
        assert abs(fixed * len(values) - sum(values, Fraction(0)) * AFFINITY_ONE) <= Fraction(len(values), 2)


def test_the_window_keeps_the_newest_dictionaries() -> None:
    joys: list[Emotives] = [{"joy": float(value)} for value in range(6)]

    record = folded(built(tuple(joys[:2])), built(tuple(joys[2:4])), built(tuple(joys[4:]), persistence=3))

    assert record.emotives == tuple(joys[3:])
    assert record.affinity == {"joy": AFFINITY_ONE * 15 // 2}
    assert record.frequency == 3


def test_the_mean_goes_by_the_dictionaries_that_have_the_name() -> None:
    assert mean_emotives(({"joy": 1.0, "fear": 3.0}, {"joy": 2.0})) == {"fear": 3.0, "joy": 1.5}
    assert mean_emotives(()) == {}


@given(st.lists(st.lists(metadata, max_size=2), min_size=1, max_size=4))
def test_metadata_is_the_sorted_union(notes: list[list[dict[str, list[str]]]]) -> None:
    record = folded(*(built(notes=tuple(note)) for note in notes))

    wanted: dict[str, set[str]] = {}
    for note in notes:
        for dictionary in note:
            for name, values in dictionary.items():
                wanted.setdefault(name, set()).update(values)
    assert record.metadata == {name: tuple(sorted(values)) for name, values in wanted.items()}


@given(st.lists(learnings(), min_size=1, max_size=6))
def test_a_pattern_keeps_its_first_events_and_counts_its_learnings(log: list[Learning]) -> None:
    record = folded(*log)

    assert (record.name, record.events, record.frequency) == (log[0].name, log[0].events, len(log))
    assert len(record.emotives) <= log[-1].persistence
    for name, total in record.affinity.items():
        assert total == sum(found.affinity.get(name, 0) for found in log)
