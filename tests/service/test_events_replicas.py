"""What happens on one replica is told by every other, once, also after the Redis between them was away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from kato_spec.keys import wakeup_channel
from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess
from tests.support.stores.redis_server import RedisServer
from tests.support.stores.replicas import Replicas, Stores, running_stores

WITHIN = 60.0
ROUNDS = 4
EXPIRING = 25  # sessions of a round


@pytest.fixture
def own_stores(tmp_path: Path) -> Iterator[Stores]:
    """Stores that may be stopped."""
    with running_stores(tmp_path / "stores") as running:
        yield running


def heard(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=WITHIN))
    return message


def until(socket: ClientConnection, last: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Return what is heard up to and with the event that is `last`."""
    found = [heard(socket)]
    while not last(found[-1]):
        found.append(heard(socket))
    return found


@contextmanager
def listen(service: ServiceProcess) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{service.port}/ws/events", open_timeout=WITHIN, max_queue=None) as socket:
        assert heard(socket)["event_type"] == "state.snapshot"
        yield socket


def start(replicas: Replicas, count: int) -> list[ServiceProcess]:
    """Start replicas and return them when they hear each other."""
    started = replicas.start(count)
    eventually(lambda: hearing(replicas) == count, timeout=WITHIN)
    return started


def hearing(replicas: Replicas) -> int:
    """Count who listens on the channel by which the replicas wake each other."""
    channel = wakeup_channel("local", replicas.processor)
    with replicas.stores.redis.client() as redis:
        count: int = redis.pubsub_numsub(channel)[0][1]
        return count


def of(session_id: str, kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["event_type"] == kind and event["data"]["session_id"] == session_id


def learn(api: httpx.Client, session_id: str) -> None:
    body = {"observations": [{"strings": ["a"]}, {"strings": ["b"]}], "learn_at_end": True}
    api.post(f"/sessions/{session_id}/observe-sequence", json=body).raise_for_status()


def new_session(api: httpx.Client, user: str) -> str:
    body = {"user_id": user, "config": {"process_predictions": False, "quiescence": 1}}
    session_id: str = api.post("/sessions", json=body).raise_for_status().json()["session_id"]
    return session_id


def tell_each_other(replicas: Replicas) -> None:
    here, there = start(replicas, 2)
    with listen(here) as near, listen(there) as far, here.client() as api, there.client() as other:
        session_id = new_session(api, "alice")
        for _ in range(3):
            learn(api, session_id)
        api.post(f"/sessions/{session_id}/observe", json={}).raise_for_status()
        api.delete(f"/sessions/{session_id}").raise_for_status()
        kinds = ["session.created", *["pattern.learned"] * 3, "session.at_rest", "session.destroyed"]
        for socket in (near, far):
            told = until(socket, of(session_id, "session.destroyed"))
            assert [event["event_type"] for event in told] == kinds
            assert {event["data"]["session_id"] for event in told} == {session_id}
        # Its user's knowledge base is new to the replica that hears of it, and the next one is told by the other.
        session_id = new_session(other, "bob")
        learn(other, session_id)
        other.delete(f"/sessions/{session_id}").raise_for_status()
        for socket in (near, far):
            told = until(socket, of(session_id, "session.destroyed"))
            assert [event["event_type"] for event in told] == ["session.created", "pattern.learned", kinds[-1]]


def test_listeners_of_every_replica_hear_all_that_happens_on_each_once(replicas: Replicas) -> None:
    tell_each_other(replicas)


def all_made(sessions: set[str]) -> Callable[[dict[str, Any]], bool]:
    """Return what says of event after event whether each of `sessions` has been told by now."""
    waiting = set(sessions)

    def last(event: dict[str, Any]) -> bool:
        if event["event_type"] == "session.created":
            waiting.discard(event["data"]["session_id"])
        return not waiting

    return last


def deleted(replicas: list[ServiceProcess]) -> int:
    """Count the sessions whose end the replicas have told."""
    with ExitStack() as held:
        apis = [held.enter_context(replica.client()) for replica in replicas]
        return sum(api.get("/metrics").raise_for_status().json()["sessions"]["total_deleted"] for api in apis)


def test_a_session_that_expires_is_told_once_whichever_replica_sweeps_it(replicas: Replicas) -> None:
    both = start(replicas, 2)
    with listen(both[0]) as near, listen(both[1]) as far, both[0].client() as api, both[1].client() as other:
        expired: list[str] = []
        for count in range(1, ROUNDS + 1):
            for _ in range(EXPIRING):
                body = {"user_id": "alice", "ttl_seconds": 1}
                expired.append(api.post("/sessions", json=body).raise_for_status().json()["session_id"])
            eventually(lambda: deleted(both) >= count * EXPIRING, timeout=WITHIN)  # noqa: B023 - called at once
        # What each replica tells last comes after all that it has told of those.
        last = {new_session(each, "bob") for each in (api, other)}
        assert deleted(both) == len(expired)
        for socket in (near, far):
            told = until(socket, all_made(last))
            gone = [event["data"] for event in told if event["event_type"] == "session.destroyed"]
            assert sorted(data["session_id"] for data in gone) == sorted(expired)
            assert {data["reason"] for data in gone} == {"expired"}


def test_listeners_hear_by_a_redis_cluster_too(stores: Stores, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis", clustered=True)
    made = Replicas(tmp_path, Stores(redis, stores.mongo))
    try:
        redis.start()
        tell_each_other(made)
    finally:
        made.close()
        redis.close()


def test_changed_parameters_are_told_by_every_replica(replicas: Replicas) -> None:
    here, there = start(replicas, 2)
    with listen(here) as near, listen(there) as far, here.side_door() as door, there.client() as other:
        for generation, threshold in ((4, 0.5), (5, 0.7)):
            record = {"uid": "u", "generation": generation, "parameters": {"recall_threshold": threshold}}
            for _ in range(2):  # the same again changes nothing and is not told
                door.put("/internal/parameters", json=record).raise_for_status()
            for socket in (near, far):
                told = heard(socket)
                assert (told["event_type"], told["data"]["generation"]) == ("parameters.changed", generation)
                assert told["data"]["parameters"]["recall_threshold"] == threshold
            session_id = new_session(other, "alice")
            config = other.get(f"/sessions/{session_id}/config").raise_for_status().json()["config"]
            assert config["recall_threshold"] == threshold
            for socket in (near, far):
                assert heard(socket)["event_type"] == "session.created"


def test_changed_parameters_wake_the_others(replicas: Replicas) -> None:
    (service,) = start(replicas, 1)
    with replicas.stores.redis.client() as redis, redis.pubsub(ignore_subscribe_messages=True) as line:
        line.subscribe(wakeup_channel("local", replicas.processor))
        eventually(lambda: hearing(replicas) == 2, timeout=WITHIN)
        with service.side_door() as door:
            record = {"uid": "u", "generation": 1, "parameters": {"recall_threshold": 0.5}}
            door.put("/internal/parameters", json=record).raise_for_status()
        message = eventually(lambda: line.get_message(timeout=0.1), timeout=WITHIN)
        assert json.loads(message["data"])["learned"] is None


def system_status(service: ServiceProcess) -> str:
    """Return the status in the snapshot that a new listener gets."""
    with connect(f"ws://127.0.0.1:{service.port}/ws/events", open_timeout=WITHIN, max_queue=None) as socket:
        status: str = heard(socket)["data"]["system_status"]["status"]
        return status


def test_a_snapshot_is_as_healthy_as_health(own_stores: Stores, tmp_path: Path) -> None:
    made = Replicas(tmp_path, own_stores, settings={"KATO_STORE_TIMEOUT_SECONDS": "3"})
    try:
        (service,) = start(made, 1)
        with service.client() as api:
            for store in (own_stores.redis, own_stores.mongo):
                eventually(lambda: api.get("/health").json()["status"] == "healthy", timeout=WITHIN)
                assert system_status(service) == "healthy"
                store.stop()
                eventually(lambda: api.get("/health").json()["status"] == "degraded", timeout=WITHIN)
                assert system_status(service) == "degraded"
                store.start()
    finally:
        made.close()


def test_after_redis_was_away_listeners_get_a_snapshot_and_hear_again(own_stores: Stores, tmp_path: Path) -> None:
    made = Replicas(tmp_path, own_stores)
    try:
        here, there = start(made, 2)
        with listen(here) as near, listen(there) as far, here.client() as api:
            made.stores.redis.stop()
            eventually(lambda: api.get("/readyz").status_code == 503, timeout=WITHIN)
            made.stores.redis.start()
            eventually(lambda: api.get("/readyz").status_code == 200, timeout=WITHIN)
            eventually(lambda: hearing(made) == 2, timeout=WITHIN)
            for socket in (near, far):
                assert until(socket, lambda event: event["event_type"] == "state.snapshot")[-1]["data"]["system_status"]
            session_id = new_session(api, "alice")
            learn(api, session_id)
            for socket in (near, far):
                told = until(socket, of(session_id, "pattern.learned"))
                assert [event["event_type"] for event in told] == ["session.created", "pattern.learned"]
    finally:
        made.close()


def test_what_a_replica_could_not_follow_it_takes_in_a_second_later(own_stores: Stores, tmp_path: Path) -> None:
    made = Replicas(tmp_path, own_stores, settings={"KATO_STORE_TIMEOUT_SECONDS": "3"})
    try:
        here, there = start(made, 2)
        with here.client() as api, there.client() as other:
            session_id = new_session(api, "alice")
            learn(api, session_id)
            patterns = {"node_id": "alice"}
            eventually(lambda: other.get("/patterns", params=patterns).json()["total"] == 1, timeout=WITHIN)
            there.pause()
            try:
                body = {"observations": [{"strings": ["c"]}, {"strings": ["d"]}], "learn_at_end": True}
                api.post(f"/sessions/{session_id}/observe-sequence", json=body).raise_for_status()
                own_stores.mongo.pause()
            finally:
                there.resume()
            try:
                failed = ("catching_up_failed",)
                eventually(lambda: [line for line in there.lines() if line["event"] in failed], timeout=WITHIN)
            finally:
                own_stores.mongo.resume()
            # Nothing else is said, and nobody asks by a session that would have to wait for it.
            eventually(lambda: other.get("/patterns", params=patterns).json()["total"] == 2, timeout=20)
    finally:
        made.close()
