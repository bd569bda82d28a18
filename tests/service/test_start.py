"""A start with a memory that takes its time: how far it is stands in the log and in `/startupz`."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support import http
from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess
from tests.support.stores.proxy import Proxy
from tests.support.stores.replicas import Replicas
from tests.support.stores.server import free_port

PATTERNS = 8000  # four batches of MongoDB
SOME = 1_000_000  # bytes: more than the first batch and less than all of them


def learn(api: httpx.Client, patterns: int) -> None:
    """Learn and fold so many patterns."""
    body = {"user_id": "alice", "config": {"process_predictions": False}}
    path = f"/sessions/{api.post('/sessions', json=body).raise_for_status().json()['session_id']}"
    observations = [{"strings": [f"{index}", "and more"]} for index in range(patterns)]
    body = {"observations": observations, "learn_after_each": True}
    api.post(f"{path}/observe-sequence", json=body).raise_for_status()
    assert api.post(f"{path}/finalize-training").raise_for_status().json()["patterns_processed"] == patterns


def told(service: ServiceProcess, event: str) -> list[dict[str, Any]]:
    return [line for line in service.lines() if line["event"] == event]


def agreed(service: ServiceProcess, probe: httpx.Client) -> dict[str, Any] | None:
    """Return the last line that tells how far the start is, if `/startupz` says the same."""
    startup = probe.get("/startupz")
    assert startup.status_code == 503
    line = told(service, "memory_loading")[-1]
    return line if line["patterns"] == startup.json()["patterns_loaded"] else None


def test_how_far_a_start_is_stands_in_the_log_and_in_startupz(replicas: Replicas) -> None:
    (first,) = replicas.start(1)
    with first.client() as api:
        learn(api, PATTERNS)
    port = free_port()
    with Proxy(replicas.stores.mongo.port) as proxy, http.Client(base_url=f"http://127.0.0.1:{port}") as probe:
        proxy.hold(SOME)
        second = replicas.add(
            mongodb_uri=f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true", port=str(port)
        ).spawn()
        eventually(lambda: any(line["patterns"] for line in told(second, "memory_loading")), timeout=60)
        line = eventually(lambda: agreed(second, probe), timeout=60)
        assert 0 < line["patterns"] < PATTERNS
        assert (line["nodes"], line["of_nodes"]) == (0, 1)
        assert not told(second, "memory_loaded")
        proxy.release()
        second.wait_until_serving()
        assert probe.get("/startupz").json() == {"status": "started", "patterns_loaded": PATTERNS}
        (line,) = told(second, "memory_loaded")
        assert (line["patterns"], line["nodes"]) == (PATTERNS, 1)
        assert line["seconds"] > 0
