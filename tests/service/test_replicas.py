"""Three replicas of one processor on Redis and MongoDB: any of them serves any session (service.md, "Replicas")."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from tests.support import http
from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess
from tests.support.stores.replicas import Replicas, Stores

CLIENTS = 16
REPLICAS = 3
SESSIONS = 1000


@pytest.fixture(scope="module")
def three(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServiceProcess]]:
    made = Replicas(tmp_path_factory.mktemp("replicas"), stores)
    try:
        yield made.start(REPLICAS)
    finally:
        made.close()


@pytest.fixture
def apis(three: list[ServiceProcess]) -> Iterator[list[httpx.Client]]:
    with ExitStack() as held:
        yield [held.enter_context(replica.client()) for replica in three]


@pytest.fixture
async def crowd(three: list[ServiceProcess]) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Sixteen clients, spread over the replicas."""
    async with AsyncExitStack() as held:
        clients = [http.AsyncClient(base_url=three[i % REPLICAS].url, timeout=60) for i in range(CLIENTS)]
        yield [await held.enter_async_context(client) for client in clients]


def new_session(api: httpx.Client, user: str = "alice", **config: Any) -> str:  # noqa: ANN401 - parameters of a session
    answer = api.post("/sessions", json={"user_id": user, "config": {"process_predictions": False, **config}})
    session_id: str = answer.raise_for_status().json()["session_id"]
    return session_id


def learn(api: httpx.Client, session_id: str, *words: str) -> str:
    body = {"observations": [{"strings": [word]} for word in words], "learn_at_end": True}
    answer = api.post(f"/sessions/{session_id}/observe-sequence", json=body).raise_for_status()
    name: str = answer.json()["final_learned_pattern"]
    return name


def frequencies(api: httpx.Client, user: str) -> Counter[str]:
    found = api.get("/patterns", params={"node_id": user, "limit": 1000}).raise_for_status().json()["patterns"]
    return Counter({pattern["name"]: pattern["frequency"] for pattern in found})


class Walk:
    """One session's way over the replicas and what it must hold: whatever was acknowledged is seen by the next one."""

    def __init__(self, session_id: str, seed: int) -> None:
        self._apis: Iterator[httpx.Client] = iter(())
        self._path = f"/sessions/{session_id}"
        self._rng = random.Random(seed)  # noqa: S311 - a test's choices
        self._stm: list[list[str]] = []
        self._learned: Counter[str] = Counter()
        self._percept: tuple[list[str], str] | None = None
        self._threshold: float | None = None
        self._looks = (
            self.given,
            self.cognition,
            self.configuration,
            self.finalize,
            self.percept,
            self.predictions,
            self.stm,
        )

    def alternate(self, replicas: list[ServiceProcess], calls: int) -> None:
        """Observe, learn and look by another replica each time."""
        with self._by(replicas):
            for _ in range(calls):
                self.step()

    def see_all(self, replica: ServiceProcess) -> None:
        """Look at everything by one replica, first at what is learned."""
        with self._by([replica]):
            for look in self._looks:
                look()

    def step(self) -> None:
        """Do or look at something, by the next replica."""
        choice = self._rng.random()
        if choice < 0.4 or not self._stm:
            self.observe()
        elif choice < 0.6 and len(self._stm) > 1:
            self.learn()
        elif choice < 0.65:
            self.configure()
        else:
            self._rng.choice(self._looks)()

    def observe(self) -> None:
        symbol, unique_id = f"s{self._rng.randrange(6)}", f"u{self._rng.randrange(10**6)}"
        answer = self._asked("POST", "observe", {"strings": [symbol], "unique_id": unique_id})
        self._stm.append([symbol])
        self._percept = ([symbol], unique_id)
        assert answer["stm_length"] == len(self._stm)

    def learn(self) -> None:
        self._learned[self._asked("POST", "learn")["pattern_name"]] += 1
        self._stm = []

    def configure(self) -> None:
        self._threshold = self._rng.randrange(10) / 10
        self._asked("PUT", "config", {"recall_threshold": self._threshold})

    def configuration(self) -> None:
        if self._threshold is not None:
            assert self._asked("GET", "config")["config"]["recall_threshold"] == self._threshold

    def stm(self) -> None:
        assert self._asked("GET", "stm")["stm"] == self._stm

    def percept(self) -> None:
        if self._percept is not None:
            found = self._asked("GET", "percept-data")["percept_data"]
            assert (found["strings"], found["unique_id"]) == self._percept

    def finalize(self) -> None:
        assert self._asked("POST", "finalize-training")["patterns_processed"] == len(self._learned)

    def given(self) -> None:
        body = {"stm": [["s0"], ["s1"]], "recall_threshold": 0.0, "max_predictions": 10000}
        found = self._asked("POST", "predictions", body)["predictions"]
        assert {f"PTRN|{each['name']}": each["frequency"] for each in found} == self._learned

    def predictions(self) -> None:
        """What the session expects is what the next replica recalls by an STM like its."""
        expected = self._asked("GET", "predictions")["predictions"]
        assert self._asked("POST", "predictions", {"stm": self._stm})["predictions"] == expected

    def cognition(self) -> None:
        found = self._asked("GET", "cognition-data")["cognition_data"]
        assert found["short_term_memory"] == self._stm
        assert self._asked("POST", "predictions", {"stm": self._stm})["predictions"] == found["predictions"]

    @contextmanager
    def _by(self, replicas: list[ServiceProcess]) -> Iterator[None]:
        with ExitStack() as held:
            self._apis = itertools.cycle([held.enter_context(replica.client()) for replica in replicas])
            yield

    def _asked(self, method: str, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = next(self._apis).request(method, f"{self._path}/{what}", json=body).raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def walk_on(three: list[ServiceProcess], calls: int, end: Callable[[ServiceProcess], object]) -> None:
    """One session and one knowledge through all phases: alternating, one replica paused, all again, one ended anew."""
    with three[0].client() as api:
        walk = Walk(new_session(api), calls)
    walk.alternate(three, calls)
    three[0].pause()
    walk.alternate(three[1:], calls // 2)
    three[0].resume()
    walk.see_all(three[0])  # what it missed while it stood still it reads now
    walk.alternate(three, calls // 2)
    end(three[2])
    walk.alternate(three[:2], calls // 4)
    three[2].start()
    walk.see_all(three[2])  # what was learned before it ended, and since
    walk.alternate(three, calls // 2)


def test_a_session_reads_its_own_writes_on_any_replica(replicas: Replicas) -> None:
    walk_on(replicas.start(REPLICAS), 120, ServiceProcess.kill)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_calls_on_alternating_replicas(replicas: Replicas) -> None:
    walk_on(replicas.start(REPLICAS), 4000, ServiceProcess.stop)


def test_equal_knowledge_gives_equal_bytes_on_every_replica(apis: list[httpx.Client], user: str) -> None:
    words = ["the", "cat", "sees", "a", "bird", "and", "the", "bird", "sees", "the", "cat"]
    session_id = new_session(apis[0], user)
    for index in range(30):
        learn(apis[index % REPLICAS], session_id, *words[index % 5 : index % 5 + 3 + index % 4])
    for stm in ([["the"], ["cat"]], [["sees"]], [["bird"], ["a"], ["the"]]):
        body = {"stm": stm, "recall_threshold": 0.0, "max_predictions": 10000}
        answers = [api.post(f"/sessions/{session_id}/predictions", json=body) for api in apis]
        bodies = {answer.content.partition(b'"session_id"')[0] for answer in answers}
        assert len(bodies) == 1
        assert len(bodies.pop()) > 1000


def test_a_replica_hears_of_what_another_has_learned(apis: list[httpx.Client], user: str) -> None:
    first, second, _ = apis
    session_id = new_session(first, user)
    for count in range(1, 6):
        name = learn(first, session_id, "a", "b")
        # By no session that would have to wait for it: only the wake-up brings it.
        found = eventually(lambda: (n := frequencies(second, user)) and n.total() == count and n, timeout=20)  # noqa: B023 - called at once
        assert found == {name: count}


async def test_sixteen_clients_on_one_session_over_three_replicas(crowd: list[httpx.AsyncClient], user: str) -> None:
    made = await crowd[0].post("/sessions", json={"user_id": user, "config": {"process_predictions": False}})
    path = f"/sessions/{made.json()['session_id']}"

    async def client_of(number: int, client: httpx.AsyncClient) -> None:
        for step in range(10):
            answer = await client.post(f"{path}/observe", json={"strings": [f"{number}:{step:02}"]})
            assert answer.status_code == 200, answer.text

    await asyncio.gather(*(client_of(number, client) for number, client in enumerate(crowd)))
    events = [event[0] for event in (await crowd[1].get(f"{path}/stm")).json()["stm"]]
    assert len(events) == len(set(events)) == CLIENTS * 10
    for number in range(CLIENTS):
        own = [event for event in events if event.startswith(f"{number}:")]
        assert own == sorted(own)


async def test_sixteen_learners_of_one_pattern_over_three_replicas(crowd: list[httpx.AsyncClient], user: str) -> None:
    body = {"observations": [{"strings": ["a"]}, {"strings": ["b", "c"]}], "learn_at_end": True}
    times = 10

    async def learner(client: httpx.AsyncClient) -> int:
        made = await client.post("/sessions", json={"user_id": user, "config": {"process_predictions": False}})
        session_id = made.json()["session_id"]
        for _ in range(times):
            answer = await client.post(f"/sessions/{session_id}/observe-sequence", json=body)
            assert answer.status_code == 200, answer.text
        seen = await client.post(f"/sessions/{session_id}/predictions", json={"stm": [["a"], ["b"]]})
        found: int = seen.json()["predictions"][0]["frequency"]
        return found

    seen = await asyncio.gather(*map(learner, crowd))
    assert all(times <= each <= CLIENTS * times for each in seen)
    for client in crowd[:REPLICAS]:
        made = await client.post("/sessions", json={"user_id": user, "config": {"process_predictions": False}})
        session_id = made.json()["session_id"]
        await client.post(f"/sessions/{session_id}/observe-sequence", json=body)
        stats = (await client.get("/symbols/stats", params={"node_id": user})).json()["totals"]
        times_all = CLIENTS * times + crowd.index(client) + 1
        assert stats["total_pattern_frequencies"] == times_all
        assert stats["total_symbol_frequencies"] == times_all * 3


async def test_a_retry_on_another_replica_counts_once(crowd: list[httpx.AsyncClient], user: str) -> None:
    made = await crowd[0].post("/sessions", json={"user_id": user, "config": {"process_predictions": False}})
    path = f"/sessions/{made.json()['session_id']}"
    body = {"observations": [{"strings": ["a"]}, {"strings": ["b"]}], "learn_at_end": True}
    key = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(client.post(f"{path}/observe-sequence", json=body, headers=key) for client in crowd)
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    (found,) = (await crowd[0].post(f"{path}/predictions", json={"stm": [["a"]]})).json()["predictions"]
    assert found["frequency"] == 1


async def test_a_thousand_sessions_at_once(three: list[ServiceProcess], apis: list[httpx.Client], user: str) -> None:
    before = apis[0].get("/sessions/count").json()["active_session_count"]
    config = {"process_predictions": False}
    new = [{"user_id": f"{user}-{index % 50}", "config": config} for index in range(SESSIONS)]
    made = [answer["session_id"] for answer in await all_at_once(three, ["POST /sessions"] * SESSIONS, new)]
    events = [{"strings": [f"e{index}"]} for index in range(SESSIONS)]
    await all_at_once([*three[1:], three[0]], [f"POST /sessions/{each}/observe" for each in made], events)
    seen = await all_at_once(three, [f"GET /sessions/{each}/stm" for each in made], [None] * SESSIONS)
    assert [answer["stm"] for answer in seen] == [[event["strings"]] for event in events]
    for api in apis:
        assert api.get("/sessions/count").json()["active_session_count"] == before + SESSIONS


async def all_at_once(replicas: list[ServiceProcess], calls: list[str], bodies: Sequence[object]) -> list[Any]:
    """Have all calls wait at the replicas, each by a connection of its own, and return the answers, all of them 200.

    The replicas stand still until the last call has come, so that none is answered before.
    """
    come = asyncio.Semaphore(0)
    for replica in replicas:
        replica.pause()
    try:
        asked = asyncio.gather(
            *(
                answer_to(replica.port, call, body, come)
                for replica, call, body in zip(itertools.cycle(replicas), calls, bodies, strict=False)
            )
        )
        for _ in calls:
            await come.acquire()
        assert not asked.done()
    finally:
        for replica in replicas:
            replica.resume()
    return await asked


async def answer_to(port: int, call: str, body: object, come: asyncio.Semaphore) -> Any:  # noqa: ANN401 - JSON
    """Ask by a new connection, release `come` when the call has gone out, and return what is answered.

    Without a client of HTTP, whose pool would take its time over so many connections.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    content = json.dumps(body).encode()
    headers = f"Host: kato\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    writer.write(f"{call} HTTP/1.1\r\n{headers}\r\n\r\n".encode() + content)
    await writer.drain()
    come.release()
    head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200"), (head, answer)
    return json.loads(answer)
