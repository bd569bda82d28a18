"""A store that is stopped, paused, slow, half-open or cut off: an error within 2 s, all well 5 s after it is back.

Both are promises of the product, stretched by measured pressure alone. No connection and no file is left behind, what
needs no store goes on, and what was refused while the store was known to be away has come to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.support.answers import asked_to_come_again, promptly
from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess
from tests.support.stores.proxy import Proxy
from tests.support.stores.replicas import Replicas, Stores, running_stores
from tests.support.stores.server import Server

RECOVERY = 5.0  # seconds after the store's return in which all is well, as promised
HANGS = 20.0  # seconds after which a call is given up: longer than the promise of an answer can be stretched
WAIT = 60.0  # seconds for what is not promised
CALLERS = 24
SLOW = 3.0
# A pool is made anew after an outage and has as many connections as calls were at work at once since: here one after
# the other, but for a heartbeat or a sweep that meets one. What leaks adds up over the outages of this module.
MET = 2
SEQUENCE = ["a", "b"]


@dataclass
class Scene:
    """One replica whose ways to both stores lead through proxies, and a session on it."""

    service: ServiceProcess
    api: httpx.Client
    proxies: dict[str, Proxy]
    servers: dict[str, Server]
    user: str = ""
    session: str = ""
    at_first: dict[str, int] = field(default_factory=dict)

    def begin(self, user: str) -> None:
        """Take a session of `user` and learn on it: its knowledge base is in memory then."""
        self.user, self.session = user, self.open(user)
        self.taught(self.session)

    def open(self, user: str) -> str:
        """Return a new session of `user`."""
        body = {"user_id": user, "config": {"process_predictions": False}}
        session_id: str = self.accepted(lambda: self.api.post("/sessions", json=body)).json()["session_id"]
        return session_id

    def learn(self, session: str, key: str | None = None) -> httpx.Response:
        body = {"observations": [{"strings": [symbol]} for symbol in SEQUENCE], "learn_at_end": True}
        headers = {"Idempotency-Key": key or uuid4().hex}
        return self.api.post(f"/sessions/{session}/observe-sequence", json=body, headers=headers)

    def taught(self, session: str) -> None:
        """Learn once, however often it must be asked for."""
        key = uuid4().hex
        self.accepted(lambda: self.learn(session, key))

    def accepted(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Ask until it is accepted: a store that was away, or is starved of CPU for a second, may refuse once."""
        return eventually(lambda: answer if (answer := ask()).status_code == 200 else None, timeout=WAIT)

    def all_refused(self, session: str) -> None:
        """Let many learn at once on `session`; each is asked to come again, and soon."""
        with ThreadPoolExecutor(CALLERS) as pool:
            for refused in [pool.submit(promptly, lambda: self.learn(session)) for _ in range(CALLERS)]:
                asked_to_come_again(refused.result())

    def predictions(self) -> Any:  # noqa: ANN401 - as the API says
        """Return what is predicted from a short-term memory that is given with the call."""
        body = {"stm": [SEQUENCE[:1]], "recall_threshold": 0.0}
        answer = promptly(lambda: self.api.post(f"/sessions/{self.session}/predictions", json=body))
        return answer.raise_for_status().json()["predictions"]

    def learned(self, user: str) -> int:
        """Return how many learnings of `user` there are; the one pattern says it."""
        found = self.accepted(lambda: self.api.get("/patterns", params={"node_id": user})).json()["patterns"]
        return sum(pattern["frequency"] for pattern in found)

    def ready(self) -> bool:
        return self.api.get("/readyz").status_code == 200

    def held(self) -> dict[str, int]:
        """Count the connections to each store, and all that the process has open but for connections of clients."""
        assert self.service.process is not None
        process = psutil.Process(self.service.process.pid)
        with process.oneshot():
            clients = sum(
                bool(each.raddr) and each.laddr.port == self.service.port for each in process.net_connections()
            )
            files = process.num_fds() - clients
        return {name: proxy.connections() for name, proxy in self.proxies.items()} | {"files": files}

    def holds_no_more(self) -> bool:
        """Say whether all that came with the outages so far is gone again."""
        now = self.held()
        return all(now[name] <= count + MET for name, count in self.at_first.items())


@pytest.fixture(scope="module")
def own_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Stores that are stopped and paused."""
    with running_stores(tmp_path_factory.mktemp("away")) as running:
        yield running


@pytest.fixture(scope="module")
def scene(own_stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    servers: dict[str, Server] = {"redis": own_stores.redis, "mongo": own_stores.mongo}
    with ExitStack() as held:
        proxies = {name: held.enter_context(Proxy(server.port)) for name, server in servers.items()}
        made = Replicas(tmp_path_factory.mktemp("scene"), own_stores)
        made.redis_url = f"redis://127.0.0.1:{proxies['redis'].port}"
        made.mongodb_uri = f"mongodb://127.0.0.1:{proxies['mongo'].port}/?directConnection=true"
        held.callback(made.close)
        service = made.add(store_timeout_seconds="1").start()
        api = held.enter_context(service.client())
        api.timeout = httpx.Timeout(HANGS)
        opened = Scene(service, api, proxies, servers)
        opened.begin("first")
        opened.at_first = opened.held()
        yield opened


def stop(scene: Scene, store: str) -> Callable[[], None]:
    scene.servers[store].stop()
    return scene.servers[store].start


def pause(scene: Scene, store: str) -> Callable[[], None]:
    scene.servers[store].pause()
    return scene.servers[store].resume


def slow(scene: Scene, store: str) -> Callable[[], None]:
    scene.proxies[store].delay = SLOW
    return lambda: setattr(scene.proxies[store], "delay", 0.0)


def half_open(scene: Scene, store: str) -> Callable[[], None]:
    """Leave the connections that there are without an answer for ever; later ones are served again."""
    scene.proxies[store].dead = True
    return lambda: setattr(scene.proxies[store], "dead", False)


def refuse(scene: Scene, store: str) -> Callable[[], None]:
    scene.proxies[store].refuse()
    return scene.proxies[store].listen


@pytest.mark.parametrize("store", ["redis", "mongo"])
@pytest.mark.parametrize("trouble", [stop, pause, slow, half_open, refuse])
def test_a_store_that_is_away(scene: Scene, store: str, trouble: Callable[[Scene, str], Callable[[], None]]) -> None:
    scene.begin(f"{store}-{trouble.__name__}")
    late = f"late-{scene.user}"
    other = scene.open(late)
    scene.taught(other)
    process, predicted = scene.service.process, scene.predictions()
    assert process is not None
    assert predicted
    heal = trouble(scene, store)
    try:
        scene.all_refused(scene.session)
        assert promptly(lambda: scene.api.get("/readyz")).status_code == 503
        scene.all_refused(other)
        for path in ("/livez", "/ping", f"/symbols/stats?node_id={scene.user}"):
            assert promptly(lambda: scene.api.get(path)).status_code == 200  # noqa: B023 - called at once
        if store == "redis":
            asked_to_come_again(promptly(lambda: scene.api.post("/sessions", json={"user_id": "nobody"})))
        else:  # what the sessions hold and the index in memory knows is served
            assert promptly(lambda: scene.api.get(f"/sessions/{scene.session}")).status_code == 200
            assert scene.predictions() == predicted
    finally:
        heal()
    # Who asks again is served, and what a refused call has begun is finished by then.
    key = uuid4().hex
    eventually(lambda: scene.ready() and scene.learn(scene.session, key).status_code == 200, promised=RECOVERY)
    assert process.poll() is None
    assert scene.predictions()
    eventually(scene.holds_no_more, timeout=WAIT)
    # Of the calls that met the trouble first one may have been under way, the others of its session were behind it.
    assert 2 <= scene.learned(scene.user) <= 3
    # Of those that came when it was known none has left anything.
    assert scene.accepted(lambda: scene.api.get(f"/sessions/{other}/stm")).json()["stm"] == []
    scene.taught(other)
    assert scene.learned(late) == 2


def test_a_learn_that_met_no_memory_counts_once_when_it_is_asked_again(scene: Scene) -> None:
    user = "counts-once"
    path = f"/sessions/{scene.open(user)}"
    scene.accepted(lambda: scene.api.post(f"{path}/observe", json={"strings": SEQUENCE}))
    scene.servers["mongo"].pause()
    try:
        asked_to_come_again(promptly(lambda: scene.api.post(f"{path}/learn")))
    finally:
        scene.servers["mongo"].resume()
    eventually(lambda: scene.ready() and scene.api.post(f"{path}/learn").status_code == 200, promised=RECOVERY)
    assert scene.learned(user) == 1


def test_a_replica_waits_at_its_start_for_stores_that_are_away(own_stores: Stores, tmp_path: Path) -> None:
    made = Replicas(tmp_path, own_stores)
    with ExitStack() as held:
        held.callback(made.close)
        proxies = [held.enter_context(Proxy(server.port)) for server in (own_stores.redis, own_stores.mongo)]
        made.redis_url = f"redis://127.0.0.1:{proxies[0].port}"
        made.mongodb_uri = f"mongodb://127.0.0.1:{proxies[1].port}/?directConnection=true"
        for proxy in proxies:
            proxy.refuse()
        service = made.add(store_timeout_seconds="1").spawn()
        for proxy in proxies:
            waiting = len(service.lines())
            eventually(lambda: any("waiting" in line["event"] for line in service.lines()[waiting:]), timeout=WAIT)  # noqa: B023 - called at once
            assert service.process is not None
            assert service.process.poll() is None
            proxy.listen()
        service.wait_until_serving()
