"""What the operator writes into Redis: every replica takes it up and writes back how it stands (operator.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
import redis

from kato_spec.keys import declaration_key, declarations_key, parameters_key, state_key, wakeup_channel
from kato_spec.records import DeclarationRecord, DeclaredSession, ParametersRecord, StateRecord
from tests.support.eventually import eventually
from tests.support.stores.replicas import Replicas, Stores

WITHIN = 30.0  # seconds, on a busy machine; it is the wake-up or one sweep otherwise


@dataclass
class Desk:
    """The operator's side of Redis."""

    client: redis.Redis
    processor: str

    @property
    def place(self) -> tuple[str, str]:
        return ("local", self.processor)

    def wake(self) -> None:
        self.client.publish(wakeup_channel(*self.place), b"{}")

    def configure(self, record: ParametersRecord) -> None:
        self.client.set(parameters_key(*self.place), record.model_dump_json())
        self.wake()

    def declare(self, record: DeclarationRecord) -> None:
        with self.client.pipeline() as change:
            change.set(declaration_key(*self.place, record.uid), record.model_dump_json())
            change.sadd(declarations_key(*self.place), record.uid)
            change.execute()
        self.wake()

    def withdraw(self, uid: str) -> None:
        with self.client.pipeline() as change:
            change.delete(declaration_key(*self.place, uid))
            change.srem(declarations_key(*self.place), uid)
            change.execute()
        self.wake()

    def states(self) -> list[StateRecord]:
        found = [self.client.get(state_key(*self.place, f"replica-{index}")) for index in range(2)]
        return [StateRecord.model_validate_json(each) for each in found if each]

    def declared(self, uid: str, generation: int) -> DeclaredSession | None:
        """Return how a declaration stands, once both replicas say the same."""
        states = self.states()
        found = [each for state in states for each in state.declared if each.uid == uid]
        same = len(found) == 2 and found[0].session_id == found[1].session_id
        return found[0] if same and found[0].generation == generation else None


@pytest.fixture(scope="module")
def running(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, list[httpx.Client]]]:
    made = Replicas(tmp_path_factory.mktemp("directives"), stores)
    with ExitStack() as held:
        held.callback(made.close)
        apis = [held.enter_context(each.client()) for each in made.start(2)]
        yield Desk(held.enter_context(stores.redis.client()), made.processor), apis


def test_parameters_go_live_on_every_replica_and_bad_ones_on_none(
    running: tuple[Desk, list[httpx.Client]], user: str
) -> None:
    desk, apis = running
    session_id = apis[0].post("/sessions", json={"user_id": user}).json()["session_id"]
    desk.configure(ParametersRecord(uid="u", generation=1, parameters={"recall_threshold": 0.4}))
    eventually(lambda: [state.parameters_generation for state in desk.states()] == [1, 1], timeout=WITHIN)
    desk.configure(ParametersRecord(uid="u", generation=2, parameters={"recall_threshold": 7}))
    desk.declare(DeclarationRecord(uid="after", generation=1, name="after", user_id=user))
    eventually(lambda: desk.declared("after", 1), timeout=WITHIN)  # the bad record has been looked at by then
    for api in apis:
        assert api.get(f"/sessions/{session_id}/config").json()["config"]["recall_threshold"] == 0.4
    assert [state.parameters_generation for state in desk.states()] == [1, 1]
    desk.withdraw("after")


def test_a_declaration_makes_one_session_follows_its_changes_and_takes_it_away(
    running: tuple[Desk, list[httpx.Client]], user: str
) -> None:
    desk, apis = running
    record = DeclarationRecord(uid=f"uid-{user}", generation=1, name="main", user_id=user, metadata={"a": "b"})
    desk.declare(record)
    declared = eventually(lambda: desk.declared(record.uid, 1), timeout=WITHIN)
    assert declared is not None
    assert declared.phase == "Active"
    path = f"/sessions/{declared.session_id}"
    for api in apis:
        assert api.post(f"{path}/observe", json={"strings": ["a"]}).status_code == 200
        assert api.get("/sessions", params={"user_id": user}).json()["total"] == 1
    desk.declare(record.model_copy(update={"generation": 2, "config": {"recall_threshold": 0.7}}))
    eventually(lambda: desk.declared(record.uid, 2), timeout=WITHIN)
    for api in apis:
        assert api.get(f"{path}/config").json()["config"]["recall_threshold"] == 0.7
        assert api.get(f"{path}/stm").json()["stm"] == [["a"], ["a"]]
    desk.withdraw(record.uid)
    for api in apis:
        eventually(lambda: api.get(path).status_code == 404, timeout=WITHIN)  # noqa: B023 - called at once
    desk.withdraw(record.uid)


@pytest.mark.parametrize("written", [b"no json", b"{}", b'{"uid":"x","generation":1,"name":"n","user_id":"u"}'])
def test_a_declaration_that_is_none_is_refused_once_and_nothing_else_waits(
    running: tuple[Desk, list[httpx.Client]], user: str, written: bytes
) -> None:
    desk, _ = running
    uid = f"bad-{user}"
    desk.client.set(declaration_key(*desk.place, uid), written)
    desk.client.sadd(declarations_key(*desk.place), uid)
    good = DeclarationRecord(uid=f"uid-{user}", generation=1, name="main", user_id=user)
    desk.declare(good)
    assert eventually(lambda: desk.declared(good.uid, 1), timeout=WITHIN)
    taken = f"kato:{{local/{desk.processor}}}:taken"
    assert eventually(lambda: desk.client.hget(taken, uid), timeout=WITHIN) == written
    desk.withdraw(uid)
    desk.withdraw(good.uid)
    eventually(lambda: not desk.client.hexists(taken, uid), timeout=WITHIN)


def test_a_side_door_declaration_is_not_withdrawn_for_being_no_key(
    running: tuple[Desk, list[httpx.Client]], user: str
) -> None:
    desk, apis = running
    one = DeclarationRecord(uid=f"uid-{user}", generation=1, name="main", user_id=user)
    desk.declare(one)
    eventually(lambda: desk.declared(one.uid, 1), timeout=WITHIN)
    with desk.client.pipeline(transaction=True) as at_once:  # as if it had come by the side door
        at_once.delete(f"kato:{{local/{desk.processor}}}:taken")
        at_once.delete(declaration_key(*desk.place, one.uid))
        at_once.srem(declarations_key(*desk.place), one.uid)
        at_once.execute()
    other = one.model_copy(update={"uid": f"other-{user}"})
    desk.declare(other)
    eventually(lambda: desk.declared(other.uid, 1), timeout=WITHIN)
    assert apis[0].get("/sessions", params={"user_id": user}).json()["total"] == 2
    desk.withdraw(other.uid)
