"""A process that dies between the session's write and the log's, or between the log's and the session's next."""

from __future__ import annotations

import pytest

from kato_service.engine.model import Learning, Operation
from kato_service.processor.errors import EmptyMemory, StoreUnavailable
from kato_service.processor.learn import clear_all, learn
from kato_service.processor.model import Answer, Session
from kato_service.processor.observe import observe
from kato_service.processor.ports import Entry
from kato_service.processor.processor import Processor
from kato_service.processor.sessions import Retry
from kato_service.stores.memory import VolatileMemory, VolatileSessions
from tests.support.processors import World, new_session, seen


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


class MortalMemory(VolatileMemory):
    """A log whose next append is the last thing that the process does, or does not do."""

    def __init__(self) -> None:
        super().__init__()
        self.die_before = False
        self.fail = False

    async def append(self, node: str, entry: Entry) -> None:
        if self.die_before:
            self.die_before = False
            raise Killed
        if self.fail:
            self.fail = False
            raise StoreUnavailable("away")
        await super().append(node, entry)


class MortalSessions(VolatileSessions):
    """Sessions where the process dies before the next write, or before the one that drops what was pending."""

    def __init__(self) -> None:
        super().__init__()
        self.die_when_settling = False
        self.die_at_next_write = False

    async def replace(self, session: Session, expected: str, answer: Answer | None = None) -> bool:
        if self.die_at_next_write:
            self.die_at_next_write = False
            raise Killed
        found = self._sessions.get(session.id)
        if self.die_when_settling and found is not None and found.pending is not None:
            self.die_when_settling = False
            raise Killed
        return await super().replace(session, expected, answer)


def mortal() -> tuple[World, MortalMemory, MortalSessions]:
    memory, sessions = MortalMemory(), MortalSessions()
    return World(memory=memory, sessions=sessions), memory, sessions


async def frequencies(world: World, node: str = "alice") -> dict[str, int]:
    """Count each pattern's learnings in the log itself."""
    counts: dict[str, int] = {}
    for entry in await world.memory.tail(node, 0):
        for operation in entry.operations:
            counts[_name(operation)] = counts.get(_name(operation), 0) + 1
    return counts


def _name(operation: Operation) -> str:
    return operation.name if isinstance(operation, Learning) else type(operation).__name__


async def ready_to_learn(world: World) -> tuple[Processor, str]:
    processor = await world.started()
    session_id = await new_session(processor, process_predictions=False)
    await observe(processor, session_id, seen("a", "b"))
    return processor, session_id


async def test_killed_after_the_append_a_retried_learn_only_finishes() -> None:
    world, _, sessions = mortal()
    processor, session_id = await ready_to_learn(world)
    sessions.die_when_settling = True
    with pytest.raises(Killed):
        await learn(processor, session_id)
    restarted = await world.started()
    done = await learn(restarted, session_id)
    assert done.result.status == "learned"
    assert await frequencies(world) == {done.result.pattern: 1}
    assert (await restarted.sessions.open(session_id)).stm == ()
    with pytest.raises(EmptyMemory):
        await learn(restarted, session_id)


async def test_killed_before_the_append_the_start_appends_it() -> None:
    world, memory, _ = mortal()
    processor, session_id = await ready_to_learn(world)
    memory.die_before = True
    with pytest.raises((Killed, StoreUnavailable)):
        await learn(processor, session_id)
    restarted = await world.started()
    done = await learn(restarted, session_id)
    assert await frequencies(world) == {done.result.pattern: 1}
    assert (await restarted.library.read("alice")).matcher.totals().total_pattern_frequencies == 1


async def test_killed_and_not_retried_the_session_goes_on_from_an_empty_stm() -> None:
    world, _, sessions = mortal()
    processor, session_id = await ready_to_learn(world)
    sessions.die_when_settling = True
    with pytest.raises(Killed):
        await learn(processor, session_id)
    restarted = await world.started()
    await observe(restarted, session_id, seen("c"))
    assert (await restarted.sessions.open(session_id)).stm == (("c",),)
    await observe(restarted, session_id, seen("d"))
    await learn(restarted, session_id)
    assert sorted((await frequencies(world)).values()) == [1, 1]


async def test_a_store_that_was_away_for_a_moment_loses_nothing() -> None:
    world, memory, _ = mortal()
    processor, session_id = await ready_to_learn(world)
    memory.fail = True
    with pytest.raises(StoreUnavailable):
        await learn(processor, session_id)
    done = await learn(processor, session_id)
    assert done.result.status == "learned"
    assert await frequencies(world) == {done.result.pattern: 1}


async def test_a_key_gets_the_first_answer_over_a_crash() -> None:
    world, _, sessions = mortal()
    processor, session_id = await ready_to_learn(world)
    sessions.die_when_settling = True
    with pytest.raises(Killed):
        await learn(processor, session_id, Retry("k", "r"))
    restarted = await world.started()
    await observe(restarted, session_id, seen("c"))
    done = await learn(restarted, session_id, Retry("k", "r"))
    assert await frequencies(world) == {done.result.pattern: 1}
    assert (await restarted.sessions.open(session_id)).stm == (("c",),)


async def test_a_key_counts_once_though_the_sessions_lost_their_last_write() -> None:
    world, _, _ = mortal()
    processor, session_id = await ready_to_learn(world)
    before = await world.sessions.get(session_id)
    assert before is not None
    await learn(processor, session_id, Retry("k", "r"))
    await world.sessions.delete(session_id)
    await world.sessions.create(before, limit=0, now=world.clock.now())
    restarted = await world.started()
    done = await learn(restarted, session_id, Retry("k", "r"))
    assert await frequencies(world) == {done.result.pattern: 1}


async def test_a_key_swallows_nothing_else_when_the_sessions_lost_their_last_write() -> None:
    world, _, _ = mortal()
    processor, session_id = await ready_to_learn(world)
    before = await world.sessions.get(session_id)
    assert before is not None
    await learn(processor, session_id, Retry("k", "r"))
    await world.sessions.delete(session_id)
    await world.sessions.create(before, limit=0, now=world.clock.now())
    restarted = await world.started()
    await observe(restarted, session_id, seen("c"))
    await learn(restarted, session_id, Retry("k", "r"))
    assert sorted((await frequencies(world)).values()) == [1, 1]


async def test_without_a_key_too_since_a_version_names_one_state_for_ever() -> None:
    world, _, _ = mortal()
    processor, session_id = await ready_to_learn(world)
    before = await world.sessions.get(session_id)
    assert before is not None
    await learn(processor, session_id)
    await world.sessions.delete(session_id)
    await world.sessions.create(before, limit=0, now=world.clock.now())
    restarted = await world.started()
    done = await learn(restarted, session_id)
    assert await frequencies(world) == {done.result.pattern: 1}


async def test_a_clear_all_that_was_refused_never_takes_effect() -> None:
    world, memory, _ = mortal()
    processor, session_id = await ready_to_learn(world)
    other = await new_session(processor, process_predictions=False)
    memory.fail = True
    with pytest.raises(StoreUnavailable):
        await clear_all(processor, session_id)
    await observe(processor, other, seen("x", "y"))
    name = (await learn(processor, other)).result.pattern
    await observe(processor, session_id, seen("q"))
    restarted = await world.started()
    for each in (processor, restarted):
        assert (await each.library.read("alice")).matcher.record(name) is not None
    assert (await restarted.sessions.open(session_id)).stm == (("a", "b"), ("q",))


async def test_a_clear_all_that_was_cut_off_is_finished_by_asking_again() -> None:
    world, _, sessions = mortal()
    processor, session_id = await ready_to_learn(world)
    await learn(processor, session_id)
    await observe(processor, session_id, seen("c"))
    sessions.die_at_next_write = True
    with pytest.raises(Killed):
        await clear_all(processor, session_id)
    restarted = await world.started()
    assert (await restarted.library.read("alice")).matcher.totals().total_unique_patterns == 0
    assert (await restarted.sessions.open(session_id)).stm == (("c",),)
    other = await new_session(restarted, process_predictions=False)
    await observe(restarted, other, seen("x", "y"))
    await learn(restarted, other)
    await clear_all(restarted, session_id)
    assert (await restarted.library.read("alice")).matcher.totals().total_unique_patterns == 0
    assert (await restarted.sessions.open(session_id)).stm == ()


async def test_a_learn_that_failed_goes_before_the_clear_all_of_its_session() -> None:
    world, memory, _ = mortal()
    processor, session_id = await ready_to_learn(world)
    memory.fail = True
    with pytest.raises(StoreUnavailable):
        await learn(processor, session_id)
    await clear_all(processor, session_id)
    assert (await processor.library.read("alice")).matcher.totals().total_unique_patterns == 0


async def test_what_is_recovered_is_not_recovered_again_when_op_ids_are_forgotten() -> None:
    world, _, sessions = mortal()
    processor, session_id = await ready_to_learn(world)
    sessions.die_when_settling = True
    with pytest.raises(Killed):
        await learn(processor, session_id)
    restarted = await world.started()
    knowledge = await restarted.library.open("alice")
    world.clock.forward(25 * 3600)
    await knowledge.fold()
    other = await new_session(restarted)
    await observe(restarted, other, seen("c", "d"))
    await learn(restarted, other)
    world.clock.forward(25 * 3600)
    await knowledge.fold()
    assert list(await world.sessions.unsettled()) == []
    again = await world.started()
    assert (await again.library.read("alice")).matcher.totals().total_pattern_frequencies == 2
