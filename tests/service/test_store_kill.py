"""A store ends under writers and comes back: Redis killed, the MongoDB-protocol server stopped, again and again.

The writers repeat each call under its key until it is acknowledged; then every learning counts exactly once and every
observation stands in its session exactly once and in order, and what each replica knows is the fold of the log.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest

from tests.service.test_kill import Record, patterns_of
from tests.support import http
from tests.support.eventually import eventually
from tests.support.refold import check, refold_database
from tests.support.service_process import ServiceProcess
from tests.support.stores.replicas import Replicas, Stores, running_stores

WRITERS = 8
EACH = 15  # acknowledged calls between two ends
AGAIN = 0.1  # seconds before a call is repeated


@dataclass
class Stubborn:
    """A client that repeats a call under its key until it is acknowledged, by one replica after the other."""

    urls: list[str]
    learner: str
    observer: str
    user: str
    stop: threading.Event
    learned: int = 0
    observed: list[list[str]] = field(default_factory=list)

    def work(self) -> None:
        with http.Client(timeout=30) as api:
            for turn in itertools.count():
                if self.stop.is_set():
                    return
                body = {"observations": [{"strings": ["a"]}, {"strings": ["b"]}], "learn_at_end": True}
                self.insist(api, f"/sessions/{self.learner}/observe-sequence", body, f"l{turn}")
                self.learned += 1
                event = [f"{self.user}:{turn:05}"]
                self.insist(api, f"/sessions/{self.observer}/observe", {"strings": event}, f"o{turn}")
                self.observed.append(event)

    def insist(self, api: httpx.Client, path: str, body: object, key: str) -> None:
        for url in itertools.cycle(self.urls):
            answer = api.post(f"{url}{path}", json=body, headers={"Idempotency-Key": key})
            if answer.status_code == 200:
                return
            assert answer.status_code == 503, answer.text
            threading.Event().wait(AGAIN)


@pytest.fixture(scope="module")
def own_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with running_stores(tmp_path_factory.mktemp("killed")) as running:
        yield running


@pytest.fixture
def two(own_stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    made = Replicas(tmp_path_factory.mktemp("two"), own_stores, settings={"KATO_STORE_TIMEOUT_SECONDS": "1"})
    try:
        made.start(2)
        yield made
    finally:
        made.close()


def writers(replicas: list[ServiceProcess], stop: threading.Event) -> list[Stubborn]:
    wait_until_ready(replicas)

    def session(api: httpx.Client, user: str) -> str:
        body = {"user_id": user, "config": {"process_predictions": False}}
        session_id: str = api.post("/sessions", json=body).raise_for_status().json()["session_id"]
        return session_id

    with replicas[0].client() as api:
        urls = [replica.url for replica in replicas]
        return [
            Stubborn(urls[index % 2 :] + urls[: index % 2], session(api, user), session(api, user), user, stop)
            for index in range(WRITERS)
            for user in [f"user-{index % 3}"]
        ]


def wait_until_ready(replicas: list[ServiceProcess]) -> None:
    """Wait until each replica reaches its stores: one may know it a heartbeat later than the other."""
    for replica in replicas:
        with replica.client() as api:
            eventually(lambda: api.get("/readyz").status_code == 200, timeout=60)


def learned(crew: list[Stubborn], working: list[Future[None]]) -> int:
    """Return how many learnings were acknowledged so far; raise what has ended a writer."""
    for each in working:
        if each.done():
            each.result()
    return sum(writer.learned for writer in crew)


def run(two: Replicas, end: Callable[[], None], start: Callable[[], None], times: int) -> str:
    """End a store under writers, and return what was seen in words."""
    stop = threading.Event()
    crew = writers(two.processes, stop)
    with ThreadPoolExecutor(WRITERS) as pool:
        working = [pool.submit(writer.work) for writer in crew]
        try:
            for _ in range(times):
                before = sum(writer.learned for writer in crew)
                eventually(lambda: learned(crew, working) > before + EACH, timeout=120)  # noqa: B023 - called at once
                end()
                start()
        finally:
            stop.set()
        for each in working:
            each.result()
    for replica in two.processes:
        assert replica.process is not None
        assert replica.process.poll() is None
    expected = {user: sum(w.learned for w in crew if w.user == user) for user in {w.user for w in crew}}
    bases = refold_database(two.stores.mongo.url, two.database)
    assert {user: base.total() for user, base in bases.items()} == expected
    wait_until_ready(two.processes)
    for replica in two.processes:
        with replica.client() as api:
            for writer in crew:
                stm = api.get(f"/sessions/{writer.observer}/stm").raise_for_status().json()["stm"]
                assert stm == writer.observed
                assert api.get(f"/sessions/{writer.learner}/stm").raise_for_status().json()["stm"] == []
            for user, count in expected.items():
                eventually(lambda: sum(patterns_of(api, user).values()) == count, timeout=60)  # noqa: B023 - called at once
                check(api, user, bases[user])
    observed = sum(len(writer.observed) for writer in crew)
    return f"{times} ends, {sum(expected.values())} learnings and {observed} observations, each there exactly once"


@pytest.mark.timeout(900)
def test_redis_is_killed_twenty_times(two: Replicas, record_property: Record) -> None:
    record_property("survived", run(two, two.stores.redis.kill, two.stores.redis.start, 20))


@pytest.mark.timeout(900)
def test_mongodb_is_stopped_twenty_times(two: Replicas, record_property: Record) -> None:
    record_property("survived", run(two, two.stores.mongo.stop, two.stores.mongo.start, 20))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_redis_is_killed_three_hundred_times(two: Replicas, record_property: Record) -> None:
    record_property("survived", run(two, two.stores.redis.kill, two.stores.redis.start, 300))


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_mongodb_is_stopped_three_hundred_times(two: Replicas, record_property: Record) -> None:
    record_property("survived", run(two, two.stores.mongo.stop, two.stores.mongo.start, 300))
