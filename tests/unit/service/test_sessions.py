"""Sessions over a clock that the test holds: their life, their configuration, one change after the other."""

from __future__ import annotations

import asyncio
import base64
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from kato_service.processor.errors import KeyReused, SessionNotFound, TooManySessions
from kato_service.processor.learn import learn
from kato_service.processor.model import Session
from kato_service.processor.observe import observe
from kato_service.processor.sessions import NOTHING, Retry
from kato_service.processor.world import RandomIds
from kato_service.stores.sqlite_sessions import SqliteSessions
from kato_spec.parameters import InvalidParameters
from kato_spec.records import ParametersRecord, SessionDefaults
from tests.support.processors import FailingSessions, World, new_session, seen


def test_an_id_has_at_least_128_bits_from_the_system_s_random_source(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[bytes] = []

    def token_bytes(count: int | None = None) -> bytes:
        drawn.append(bytes(range(len(drawn), len(drawn) + (count or 0))))
        return drawn[-1]

    monkeypatch.setattr(secrets, "token_bytes", token_bytes)  # what every other token is made of
    ids = RandomIds("p1")
    for _ in range(3):
        processor, _, secret = ids.session().partition(".")
        assert processor == "p1"
        assert base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)) == drawn[-1]
        assert len(drawn[-1]) * 8 >= 128
    assert len(drawn) == len(set(drawn)) == 4  # one for the process, one for each session


async def test_the_life_slides_with_every_call_but_a_look() -> None:
    world = World()
    processor = await world.started()
    session_id = await new_session(processor)
    for _ in range(3):
        world.clock.forward(3599)
        await processor.sessions.open(session_id)
    world.clock.forward(3599)
    assert await processor.sessions.find(session_id)
    world.clock.forward(1)
    assert await processor.sessions.find(session_id) is None
    with pytest.raises(SessionNotFound):
        await observe(processor, session_id, seen("a"))


async def test_a_life_that_cannot_be_extended_fails_no_read() -> None:
    store = FailingSessions()
    processor = await World(sessions=store).started()
    session_id = await new_session(processor)
    store.touchable = False
    assert (await processor.sessions.open(session_id)).id == session_id


async def test_a_look_at_the_same_moment_takes_nothing_from_a_longer_life(tmp_path: Path) -> None:
    world = World(sessions=SqliteSessions(tmp_path / "sessions.db"))
    processor = await world.started()

    async def longer(session: Session) -> tuple[Session, None]:
        return replace(session, ttl_seconds=10_000), None

    for order in (1, -1):
        session_id = await new_session(processor)
        await processor.sessions.open(session_id)
        calls = [processor.sessions.act(session_id, longer, NOTHING), processor.sessions.open(session_id)]
        await asyncio.gather(*calls[::order])
        listed = await world.sessions.page(node=None, after=None, limit=10, now=world.clock.now())
        assert {found.expires_at for found in listed.sessions} == {world.clock.now() + 10_000}
    await processor.stop()


async def test_without_auto_extend_it_does_not() -> None:
    world = World()
    processor = await world.started()
    defaults = SessionDefaults(ttl_seconds=10, auto_extend=False)
    await processor.parameters.put(ParametersRecord(uid="u", generation=1, sessions=defaults))
    session_id = await new_session(processor)
    world.clock.forward(9)
    await observe(processor, session_id, seen("a"))
    world.clock.forward(1)
    assert await processor.sessions.find(session_id) is None


async def test_expired_sessions_are_swept_and_leave_nothing() -> None:
    world = World()
    processor = await world.started()
    session_id = await new_session(processor)
    await observe(processor, session_id, seen("a", "b"), Retry("k", "r"))
    world.clock.forward(3600)
    await processor.sweep()
    assert await world.sessions.get(session_id) is None
    assert await world.sessions.answer(session_id, "k") is None
    assert processor.kept.get(session_id) is None
    assert processor.sessions.deleted == 1


async def test_the_limit_refuses_and_then_lets_in() -> None:
    world = World()
    processor = await world.started()
    defaults = SessionDefaults(ttl_seconds=10, max_active=1)
    await processor.parameters.put(ParametersRecord(uid="u", generation=1, sessions=defaults))
    await new_session(processor)
    with pytest.raises(TooManySessions):
        await new_session(processor)
    world.clock.forward(10)
    await new_session(processor)


async def test_one_bad_value_makes_no_session() -> None:
    processor = await World().started()
    with pytest.raises(InvalidParameters, match="recall_threshold"):
        await new_session(processor, recall_threshold=2.0, max_predictions=3)
    assert await processor.sessions.count() == 0


async def test_the_session_lies_over_the_processor_over_the_defaults() -> None:
    processor = await World().started()
    session_id = await new_session(processor, recall_threshold=0.7)
    record = ParametersRecord(uid="u", generation=1, parameters={"recall_threshold": 0.3, "max_predictions": 7})
    await processor.parameters.put(record)
    session = await processor.sessions.open(session_id)
    resolved = processor.parameters.resolve(session.config)
    assert (resolved.recall_threshold, resolved.max_predictions, resolved.persistence) == (0.7, 7, 5)


async def test_a_change_that_was_overtaken_is_made_again_on_what_is_there() -> None:
    store = FailingSessions()
    processor = await World(sessions=store).started()
    session_id = await new_session(processor)
    before = await processor.sessions.open(session_id)
    store.overtake = [replace(before, version="theirs", stm=(("theirs",),))]
    await observe(processor, session_id, seen("ours"))
    assert (await processor.sessions.open(session_id)).stm == (("theirs",), ("ours",))


async def test_two_replicas_lose_and_double_nothing() -> None:
    world = World()
    replicas = [await world.started() for _ in range(3)]
    session_id = await new_session(replicas[0], process_predictions=False)
    await asyncio.gather(*(observe(replicas[i % 3], session_id, seen(f"e{i:02}")) for i in range(60)))
    session = await replicas[0].sessions.open(session_id)
    assert sorted(session.stm) == [(f"e{i:02}",) for i in range(60)]
    assert session.time == 60


async def test_a_failing_step_changes_nothing() -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    before = await processor.sessions.find(session_id)

    async def step(session: Session) -> tuple[Session, None]:
        raise KeyReused("k")

    with pytest.raises(KeyReused):
        await processor.sessions.act(session_id, step, NOTHING)
    assert await processor.sessions.find(session_id) == before


async def test_the_same_key_counts_once_and_answers_the_same() -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    first = await observe(processor, session_id, seen("a"), Retry("k", "r"))
    again = await observe(processor, session_id, seen("a"), Retry("k", "r"))
    assert first.result == again.result
    assert (await processor.sessions.open(session_id)).time == 1
    with pytest.raises(KeyReused):
        await observe(processor, session_id, seen("b"), Retry("k", "another request"))


async def test_a_key_holds_for_a_day() -> None:
    world = World()
    processor = await world.started()
    defaults = SessionDefaults(ttl_seconds=10**6)
    await processor.parameters.put(ParametersRecord(uid="u", generation=1, sessions=defaults))
    session_id = await new_session(processor)
    await observe(processor, session_id, seen("a", "b"), Retry("k", "r"))
    await learn(processor, session_id, Retry("l", "r"))
    world.clock.forward(24 * 3600 - 1)
    await processor.sweep()
    assert (await learn(processor, session_id, Retry("l", "r"))).result.status == "learned"
    world.clock.forward(1)
    await processor.sweep()
    await observe(processor, session_id, seen("a", "b"), Retry("k", "r"))
    assert (await processor.sessions.open(session_id)).time == 2
    await learn(processor, session_id, Retry("l", "r"))
    assert (await processor.library.read("alice")).matcher.totals().total_pattern_frequencies == 2


async def test_a_key_does_not_outlive_the_default_session() -> None:
    world = World()
    processor = await world.started()
    for times in (1, 2):
        session_id = await processor.open_default()
        await observe(processor, session_id, seen("a", "b"), Retry("k", "r"))
        assert (await learn(processor, session_id, Retry("l", "r"))).result.status == "learned"
        assert (await processor.library.read("default")).matcher.totals().total_pattern_frequencies == times
        await processor.delete(session_id)
        world.clock.forward(1)


async def test_the_default_session_is_made_when_needed_and_again_after_it_expired() -> None:
    world = World()
    processor = await world.started()
    assert await processor.open_default() == "p.default" == await processor.open_default()
    await observe(processor, "p.default", seen("a"))
    world.clock.forward(3600)
    await processor.open_default()
    assert (await processor.sessions.open("p.default")).stm == ()
