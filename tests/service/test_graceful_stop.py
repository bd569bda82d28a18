"""A process that is told to stop under load fails no request that a client has sent it."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kato_service.api.server import IDLE_SECONDS
from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess

Processes = Callable[..., ServiceProcess]
CLIENTS = 8
BODY = json.dumps({"observations": [{"strings": ["a"]}, {"strings": ["b"]}], "learn_at_end": True})


@dataclass
class Client:
    """Learns as fast as it can until nobody listens any more; a connection that cannot be made is no failed request.

    Nor is one that finds its connection closed because this thread, for want of a CPU, left it idle before.
    """

    service: ServiceProcess
    session: str
    good: int = 0
    told_to_go: int = 0
    starved: bool = False
    failed: list[str] = field(default_factory=list)

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=60)
        busy = time.monotonic()  # when the connection surely was not idle for the last time
        while True:
            try:
                if connection.sock is None:
                    connection.connect()
                    busy = time.monotonic()
            except ConnectionError:
                return
            sent = None
            try:
                path = f"/sessions/{self.session}/observe-sequence"
                connection.request("POST", path, BODY, {"Content-Type": "application/json"})
                sent = time.monotonic()
                answer = connection.getresponse()
                answer.read()
                busy = sent
            except (OSError, http.client.HTTPException) as error:
                if (sent or time.monotonic()) - busy > IDLE_SECONDS:
                    self.starved = True
                    connection.close()
                    continue
                self.failed.append(repr(error))
                return
            if answer.status != 200:
                self.failed.append(str(answer.status))
            self.good += 1
            self.starved = False
            self.told_to_go += answer.getheader("Connection") == "close"


def test_no_request_fails_and_nothing_learned_is_lost(on_each_store: ServiceProcess) -> None:
    service = on_each_store.start()
    assert service.process is not None
    with service.client() as api:
        sessions = [api.post("/sessions", json={"user_id": "u"}).json()["session_id"] for _ in range(CLIENTS)]
    clients = [Client(service, session) for session in sessions]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    eventually(lambda: min(client.good for client in clients) >= 5, timeout=60)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert [client.failed for client in clients] == [[]] * CLIENTS
    assert all(client.told_to_go or client.starved for client in clients)
    assert [line["event"] for line in service.lines()][-1] == "stopped"
    with service.start(), service.client() as api:
        totals = api.get("/symbols/stats", params={"node_id": "u"}).json()["totals"]
        assert totals["total_pattern_frequencies"] == sum(client.good for client in clients)


def test_idle_clients_do_not_hold_it_up(processes: Processes) -> None:
    service = processes(grace_seconds="60").start()
    with service.client() as idle:
        idle.get("/ping").raise_for_status()
        assert service.stop() == 0
