"""Observing and auto-learning, step by step (engine.md, sections 2 and 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kato_service.engine.limits import VectorDimension
from kato_service.engine.naming import pattern_name
from kato_service.engine.vectors import vector_symbol
from kato_service.processor.errors import EmptyMemory
from kato_service.processor.learn import learn
from kato_service.processor.model import Observation, Session
from kato_service.processor.observe import BREATH, Plan, observe, observe_sequence
from kato_service.processor.predict import predict
from kato_service.processor.processor import Processor
from kato_service.processor.sessions import NOTHING
from kato_spec.errors import Rejected
from tests.support.processors import World, new_session, seen


async def stm(processor: Processor, session_id: str) -> list[list[str]]:
    return [list(event) for event in (await processor.sessions.open(session_id)).stm]


async def session(processor: Processor, session_id: str) -> Session:
    return await processor.sessions.open(session_id)


async def test_symbols_are_sorted_and_duplicates_kept() -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    done = await observe(processor, session_id, seen("b", "a", "b", ""))
    assert await stm(processor, session_id) == [["", "a", "b", "b"]]
    assert (done.result.stm_length, done.result.time) == (1, 1)


async def test_unsorted_when_the_session_says_so() -> None:
    processor = await World().started()
    session_id = await new_session(processor, sort_symbols=False)
    await observe(processor, session_id, seen("b", "a"))
    assert await stm(processor, session_id) == [["b", "a"]]


async def test_an_observation_without_symbols_adds_no_event_but_accumulates() -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    await observe(processor, session_id, seen(emotives={"joy": 1.0}, metadata={"book": ("two", "one")}))
    await observe(processor, session_id, seen("a", "b", emotives={"joy": 0.5}, metadata={"book": ("one",)}))
    found = await session(processor, session_id)
    assert (found.stm, found.time) == ((("a", "b"),), 2)
    assert found.observed_emotives == ({"joy": 1.0}, {"joy": 0.5})
    assert found.observed_metadata == {"book": ("one", "two")}
    done = await learn(processor, session_id)
    record = (await processor.library.read("alice")).matcher.record(done.result.pattern)
    assert record is not None
    assert (record.emotives, record.metadata) == (found.observed_emotives, found.observed_metadata)
    after = await session(processor, session_id)
    assert (after.observed_emotives, after.observed_metadata, after.time) == ((), {}, 2)


async def test_at_rest_after_so_many_observations_without_a_symbol() -> None:
    processor = await World().started()
    session_id = await new_session(processor, quiescence=2)
    rests = [
        (await observe(processor, session_id, seen(*strings))).result.at_rest for strings in ("a", "", "", "", "b")
    ]
    assert rests == [False, False, True, True, False]


async def test_clear_mode_learns_and_empties() -> None:
    processor = await World().started()
    session_id = await new_session(processor, max_pattern_length=2)
    first = await observe(processor, session_id, seen("a"))
    second = await observe(processor, session_id, seen("b"))
    assert (first.result.auto_learned, second.result.auto_learned) == ("", pattern_name((("a",), ("b",))))
    assert second.result.stm_length == 0
    assert await stm(processor, session_id) == []


class Watched(list[Observation]):
    """Observations that tell which of them was taken last."""

    taken = -1

    def __iter__(self) -> Iterator[Observation]:
        for self.taken, observation in enumerate(super().__iter__()):
            yield observation


async def test_other_requests_get_their_turn_between_the_observations_of_a_sequence() -> None:
    processor = await World().started()
    long = await new_session(processor)
    three_hundred = Watched(seen("s", vectors=((float(index), 1.0),)) for index in range(300))
    sequence = asyncio.create_task(observe_sequence(processor, long, three_hundred, Plan(learn_after_each=True)))
    turns = set()
    while not sequence.done():
        await asyncio.sleep(0)
        turns.add(three_hundred.taken)
    assert turns >= set(range(0, 300, BREATH))
    assert len((await sequence).result.auto_learned) == 300


async def test_a_memory_that_would_outgrow_its_bound_is_refused_and_stays() -> None:
    processor = await World().started()
    session_id = await new_session(processor, process_predictions=False)
    await observe(processor, session_id, seen(*["a"] * 99_999))
    await observe(processor, session_id, seen("a"))
    with pytest.raises(Rejected, match="stm: '100001 symbols' is not allowed; allowed: at most 100000 symbols"):
        await observe(processor, session_id, seen("a"))
    assert len(await stm(processor, session_id)) == 2
    await learn(processor, session_id)
    assert (await observe(processor, session_id, seen("a"))).result.stm_length == 1


async def test_rolling_mode_learns_and_keeps_fewer_than_the_limit() -> None:
    processor = await World().started()
    session_id = await new_session(processor, max_pattern_length=3, stm_mode="ROLLING")
    learned = [(await observe(processor, session_id, seen(symbol))).result.auto_learned for symbol in "abcd"]
    assert learned == ["", "", pattern_name((("a",), ("b",), ("c",))), pattern_name((("b",), ("c",), ("d",)))]
    assert await stm(processor, session_id) == [["c"], ["d"]]


async def test_rolling_mode_keeps_fewer_than_the_limit_when_that_was_lowered() -> None:
    processor = await World().started()
    session_id = await new_session(processor, stm_mode="ROLLING")
    for symbol in "abcdef":
        await observe(processor, session_id, seen(symbol))

    async def lower(session: Session) -> tuple[Session, None]:
        return replace(session, config={**session.config, "max_pattern_length": 3}), None

    await processor.sessions.act(session_id, lower, NOTHING)
    done = await observe(processor, session_id, seen("g"))
    assert (done.result.auto_learned, done.result.stm_length) == (pattern_name(tuple((each,) for each in "abcdefg")), 2)
    assert await stm(processor, session_id) == [["f"], ["g"]]


async def test_auto_learning_one_symbol_learns_nothing() -> None:
    processor = await World().started()
    session_id = await new_session(processor, max_pattern_length=1)
    done = await observe(processor, session_id, seen("a"))
    assert (done.result.auto_learned, done.result.stm_length) == ("", 0)
    assert (await processor.library.read("alice")).matcher.totals().total_unique_patterns == 0


async def test_learning_needs_something_and_two_symbols() -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    with pytest.raises(EmptyMemory):
        await learn(processor, session_id)
    await observe(processor, session_id, seen("a"))
    assert (await learn(processor, session_id)).result.status == "insufficient_data"
    assert await stm(processor, session_id) == []


async def test_a_sequence_learns_after_each_or_at_its_end() -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    three = [seen("a", "b"), seen("c", "d"), seen("e")]
    at_end = (await observe_sequence(processor, session_id, three, Plan(learn_at_end=True))).result
    assert [each.stm_length for each in at_end.results] == [1, 2, 3]
    assert (at_end.initial_stm_length, at_end.final_stm_length) == (0, 0)
    assert at_end.final_learned == pattern_name((("a", "b"), ("c", "d"), ("e",)))
    after_each = (await observe_sequence(processor, session_id, three, Plan(learn_after_each=True))).result
    assert after_each.auto_learned == (pattern_name((("a", "b"),)), pattern_name((("c", "d"),)))
    between = (await observe_sequence(processor, session_id, three, Plan(clear_stm_between=True))).result
    assert (between.final_stm_length, await stm(processor, session_id)) == (1, [["e"]])


async def test_one_pattern_learned_twice_in_one_sequence_counts_twice() -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    await observe_sequence(processor, session_id, [seen("a", "b")] * 5, Plan(learn_after_each=True))
    record = (await processor.library.read("alice")).matcher.record(pattern_name((("a", "b"),)))
    assert record is not None
    assert record.frequency == 5


async def test_vectors_become_symbols_and_are_learned_with_the_pattern() -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    await observe(processor, session_id, seen("a", vectors=((1.0, 0.0), (0.0, 2.0))))
    name = vector_symbol((1.0, 2.0))
    assert await stm(processor, session_id) == [sorted(["a", name])]
    assert dict((await processor.library.read("alice")).matcher.vectors()) == {}
    await learn(processor, session_id)
    assert dict((await processor.library.read("alice")).matcher.vectors()) == {name: (1.0, 2.0)}
    await observe(processor, session_id, seen(vectors=((1.0, 2.5),)))
    assert await stm(processor, session_id) == [sorted([name, vector_symbol((1.0, 2.5))])]


async def test_a_sequence_with_vectors_learns_what_single_calls_would() -> None:
    processor = await World().started()
    vectors = [((1.0, 0.0),), ((0.9, 0.1),), ((0.0, 1.0),), ((1.0, 0.0),)]
    observations = [seen(f"s{index}", vectors=each) for index, each in enumerate(vectors)]
    one, two = await new_session(processor, "one"), await new_session(processor, "two")
    await observe_sequence(processor, one, observations, Plan(learn_after_each=True))
    for observation in observations:
        await observe(processor, two, observation)
        await learn(processor, two)
    names = [list((await processor.library.read(node)).matcher.names()) for node in ("one", "two")]
    assert names[0] == names[1]
    assert len(names[0]) == 4


async def test_a_sequence_finds_its_own_vectors_and_those_of_the_knowledge_base() -> None:
    processor = await World().started()
    one, two = await new_session(processor, "one"), await new_session(processor, "two")
    known = [seen(f"k{index}", vectors=((1.0, index / 7),)) for index in range(6)]
    observations = [seen(f"s{index}", vectors=((1.0, index / 5),)) for index in range(8)]
    for session_id in (one, two):
        await observe_sequence(processor, session_id, known, Plan(learn_after_each=True))
    await observe_sequence(processor, one, observations, Plan(learn_after_each=True))
    for observation in observations:
        await observe(processor, two, observation)
        await learn(processor, two)
    names = [list((await processor.library.read(node)).matcher.names()) for node in ("one", "two")]
    assert names[0] == names[1]


async def test_a_dimension_is_checked_again_when_learning() -> None:
    processor = await World().started()
    first, second, third = [await new_session(processor) for _ in range(3)]
    await observe(processor, first, seen("a", vectors=((1.0, 2.0),)))
    await observe(processor, second, seen("a", vectors=((1.0, 2.0, 3.0),)))
    await observe(processor, third, seen("a", vectors=((1.0, 2.0, 3.0),)))
    await learn(processor, first)
    with pytest.raises(VectorDimension) as refused:
        await learn(processor, second)
    assert (refused.value.expected, refused.value.actual) == (2, 3)
    with pytest.raises(VectorDimension):
        await observe_sequence(processor, third, [seen("b")], Plan(learn_at_end=True))
    assert [len((await session(processor, each)).stm) for each in (second, third)] == [1, 1]
    dimensions = {len(vector) for vector in (await processor.library.read("alice")).matcher.vectors().values()}
    assert dimensions == {2}


@pytest.mark.parametrize("learned", [True, False])
async def test_a_vector_of_another_dimension_changes_nothing(learned: bool) -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    await observe(processor, session_id, seen("a", vectors=((1.0, 2.0),)))
    if learned:
        await learn(processor, session_id)
    before = await session(processor, session_id)
    with pytest.raises(VectorDimension) as refused:
        await observe(processor, session_id, seen("b", vectors=((1.0, 2.0, 3.0),)))
    assert (refused.value.expected, refused.value.actual) == (2, 3)
    assert (await session(processor, session_id)).stm == before.stm


async def test_predictions_are_kept_with_each_observation_unless_switched_off() -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    await observe_sequence(processor, session_id, [seen("a"), seen("b"), seen("c")], Plan(learn_at_end=True))
    await observe(processor, session_id, seen("a"))
    kept = processor.kept.get(session_id)
    assert kept is not None
    asked = await predict(processor, session_id, {})
    assert asked.body is kept.body
    assert asked.count == 1
    quiet = await new_session(processor, process_predictions=False)
    await observe(processor, quiet, seen("a"))
    assert processor.kept.get(quiet) is None


async def test_a_given_stm_is_predicted_from_and_the_session_stays() -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    await observe_sequence(processor, session_id, [seen("a", "z"), seen("b")], Plan(learn_at_end=True))
    assert (await predict(processor, session_id, {}, (("z", "a"),))).count == 1
    assert (await predict(processor, session_id, {"recall_threshold": 1.0}, (("z", "a"),))).count == 0
    assert await stm(processor, session_id) == []
