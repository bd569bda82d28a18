"""Declared sessions and live parameters: what the side door does, over a clock that the test holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kato_service.processor.errors import DeclarationNotFound, InvalidRecord, StaleGeneration, StoreUnavailable
from kato_service.processor.model import Declaration, Session
from kato_service.processor.observe import observe
from kato_service.processor.processor import Processor
from kato_service.processor.sessions import NOTHING
from kato_service.stores.memory import VolatileSessions
from kato_spec.parameters import InvalidParameters
from kato_spec.records import DeclarationRecord, ParametersRecord
from tests.support.processors import World, seen

RECORD = DeclarationRecord(
    uid="u1", generation=1, name="main", user_id="alice", config={"recall_threshold": 0.4}, ttl_seconds=60
)


def newer(**changes: object) -> DeclarationRecord:
    return RECORD.model_copy(update={"generation": 2, **changes})


async def set_config(processor: Processor, session_id: str, config: dict[str, object]) -> None:
    async def step(session: Session) -> tuple[Session, None]:
        return replace(session, config={**session.config, **config}), None

    await processor.sessions.act(session_id, step, NOTHING)


async def test_a_declared_session_is_there_at_once() -> None:
    world = World()
    processor = await world.started()
    state = await processor.declarations.put(RECORD)
    assert (state.phase, state.generation, state.stm_length) == ("Active", 1, 0)
    assert state.session_id is not None
    session = await processor.sessions.open(state.session_id)
    assert (session.node, session.ttl_seconds, dict(session.config)) == ("alice", 60, {"recall_threshold": 0.4})


async def test_the_same_record_again_changes_nothing_and_extends_no_life() -> None:
    world = World()
    processor = await world.started()
    first = await processor.declarations.put(RECORD)
    world.clock.forward(30)
    again = await processor.declarations.put(RECORD)
    assert again == first
    assert await processor.declarations.state() == [first]


async def test_it_owns_the_keys_it_names_and_leaves_the_others() -> None:
    processor = await World().started()
    session_id = (await processor.declarations.put(RECORD)).session_id or ""
    await set_config(processor, session_id, {"max_predictions": 9, "recall_threshold": 0.9})
    await processor.declarations.put(newer(config={"persistence": 7}))
    config = dict((await processor.sessions.open(session_id)).config)
    assert config == {"max_predictions": 9, "persistence": 7}


async def test_an_older_generation_another_user_and_bad_values_are_refused() -> None:
    processor = await World().started()
    await processor.declarations.put(newer())
    with pytest.raises(StaleGeneration):
        await processor.declarations.put(RECORD)
    with pytest.raises(InvalidRecord, match="user_id"):
        await processor.declarations.put(newer(user_id="bob"))
    with pytest.raises(InvalidParameters, match="recall_threshold"):
        await processor.declarations.put(newer(config={"recall_threshold": 2}))
    assert [state.generation for state in await processor.declarations.state()] == [2]


async def test_expired_it_stays_expired_or_is_renewed() -> None:
    world = World()
    processor = await world.started()
    first = await processor.declarations.put(RECORD)
    renewing = await processor.declarations.put(
        RECORD.model_copy(update={"uid": "u2", "user_id": "bob", "expiry_policy": "Renew"})
    )
    world.clock.forward(60)
    await processor.sweep()
    expired, renewed = await processor.declarations.state()
    assert (expired.phase, expired.session_id) == ("Expired", first.session_id)
    assert renewed.phase == "Active"
    assert renewed.session_id != renewing.session_id
    assert (await processor.declarations.put(RECORD)).phase == "Expired"


class RacingSessions(VolatileSessions):
    """A store in which another replica binds the same declaration first."""

    rival: Declaration | None = None

    async def declare(self, declaration: Declaration, session: Session | None, known: Declaration | None) -> bool:
        if self.rival is not None:
            rival, self.rival = self.rival, None
            await super().declare(rival, None, known)
        return await super().declare(declaration, session, known)


async def test_of_two_replicas_that_bind_a_declaration_one_wins() -> None:
    store = RacingSessions()
    processor = await World(sessions=store).started()
    session = processor.sessions.new("alice", session_id="p.rival")
    await processor.sessions.keep(session)
    store.rival = Declaration(RECORD, session.id)
    declared = await processor.declarations.put(RECORD)
    assert declared.session_id == "p.rival"
    assert (await processor.sessions.page(node=None, after=None, limit=9)).total == 1


class ForgetfulSessions(VolatileSessions):
    """A store that is away when the next session is declared."""

    fail = False

    async def declare(self, declaration: Declaration, session: Session | None, known: Declaration | None) -> bool:
        if self.fail:
            self.fail = False
            raise StoreUnavailable("away")
        return await super().declare(declaration, session, known)


async def test_a_renewal_that_failed_is_made_up_for() -> None:
    store = ForgetfulSessions()
    world = World(sessions=store)
    processor = await world.started()
    for uid in ("u1", "u2"):
        await processor.declarations.put(RECORD.model_copy(update={"uid": uid, "expiry_policy": "Renew"}))
    world.clock.forward(60)
    store.fail = True
    with pytest.raises(StoreUnavailable):
        await processor.sweep()
    await processor.sweep()
    assert [state.phase for state in await processor.declarations.state()] == ["Active", "Active"]


async def test_deleted_over_http_is_like_expired() -> None:
    processor = await World().started()
    renewing = await processor.declarations.put(RECORD.model_copy(update={"expiry_policy": "Renew"}))
    await processor.delete(renewing.session_id or "")
    (state,) = await processor.declarations.state()
    assert state.phase == "Active"
    assert state.session_id != renewing.session_id


async def test_what_expired_while_nobody_served_is_renewed_at_the_start() -> None:
    world = World()
    await (await world.started()).declarations.put(RECORD.model_copy(update={"expiry_policy": "Renew"}))
    world.clock.forward(600)
    (state,) = await (await world.started()).declarations.state()
    assert state.phase == "Active"


async def test_withdrawing_takes_the_session_along() -> None:
    processor = await World().started()
    state = await processor.declarations.put(RECORD)
    await processor.declarations.withdraw("u1")
    assert await processor.sessions.find(state.session_id or "") is None
    with pytest.raises(DeclarationNotFound):
        await processor.declarations.withdraw("u1")


async def test_parameters_go_live_by_uid_and_generation() -> None:
    world = World()
    processor = await world.started()
    for generation in (1, 3):
        record = ParametersRecord(uid="u", generation=generation, parameters={"max_predictions": generation})
        await processor.parameters.put(record)
        assert processor.parameters.resolve({}).max_predictions == generation
    with pytest.raises(StaleGeneration):
        await processor.parameters.put(ParametersRecord(uid="u", generation=2))
    with pytest.raises(InvalidParameters):
        await processor.parameters.put(ParametersRecord(uid="u", generation=4, parameters={"persistence": 0}))
    assert processor.parameters.resolve({}).max_predictions == 3
    again = await world.started()
    assert again.parameters.resolve({}).max_predictions == 3
    await again.parameters.put(ParametersRecord(uid="other", generation=1))
    assert again.parameters.resolve({}).max_predictions == 100


async def test_the_record_of_a_file_never_turns_back_what_is_live() -> None:
    world = World()
    await (await world.started()).parameters.put(
        ParametersRecord(uid="u", generation=5, parameters={"max_predictions": 5}, display_name="Five")
    )
    restarted = world.processor()
    await restarted.start(ParametersRecord(uid="u", generation=5, parameters={"max_predictions": 9}))
    assert (restarted.parameters.resolve({}).max_predictions, restarted.name) == (5, "Five")
    newer_file = world.processor()
    await newer_file.start(ParametersRecord(uid="u", generation=6, parameters={"max_predictions": 6}))
    assert (newer_file.parameters.resolve({}).max_predictions, newer_file.name) == (6, "P")


async def test_state_counts_what_is_there() -> None:
    processor = await World().started()
    session_id = (await processor.declarations.put(RECORD)).session_id or ""
    await observe(processor, session_id, seen("a"))
    state = await processor.state()
    assert (state.processor_id, state.active_sessions, state.patterns, state.parameters_uid) == ("p", 1, 0, None)
    assert [declared.stm_length for declared in state.declared] == [1]
