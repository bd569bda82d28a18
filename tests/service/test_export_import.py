"""A memory goes out and comes in over HTTP: by the byte, of any length, while the processor serves."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.service_process import ServiceProcess
from tests.support.stores.replicas import Replicas, Stores

Processes = Callable[..., ServiceProcess]
Processor = Callable[[], ServiceProcess]


def teach(api: httpx.Client, user: str, count: int, size: int = 1) -> None:
    session_id = api.post("/sessions", json={"user_id": user}).raise_for_status().json()["session_id"]
    observations = [{"strings": [f"{user}-{index}", "x" * size], "emotives": {"joy": 0.1}} for index in range(count)]
    body = {"observations": observations, "learn_after_each": True}
    api.post(f"/sessions/{session_id}/observe-sequence", json=body).raise_for_status()


def teach_all_kinds(api: httpx.Client, user: str) -> None:
    """Patterns learned once and often, of strings and vectors, with emotives at their limits and metadata."""
    session_id = api.post("/sessions", json={"user_id": user, "config": {"persistence": 3}}).json()["session_id"]
    for turn in range(4):  # in the first of which the vectors that are near to each other are not all known yet
        for number in range(5):
            told = {
                "emotives": {"joy": 0.1 * turn, "\u2603": (-1e15, 5e-324)[turn % 2]},
                "metadata": {"book": f"b{turn}"},
            }
            observations = [
                {"strings": [f"{user}-{number}", "\U0001fae8"], **told},
                {"vectors": [[0.1 + number, -1 / 3, 1e15 if number % 2 else 5e-324]], **told},
            ]
            body = {"observations": observations, "learn_at_end": True}
            api.post(f"/sessions/{session_id}/observe-sequence", json=body).raise_for_status()


def expectations(api: httpx.Client, user: str) -> object:
    """What a new session sees in a vector near the learned ones, and what it expects then, by frequency and joy."""
    config = {"recall_threshold": 0.0, "affinity_emotive": "joy"}
    session_id = api.post("/sessions", json={"user_id": user, "config": config}).json()["session_id"]
    seen = {"strings": [f"{user}-1"], "vectors": [[1.0, -0.3, 2.0]]}
    api.post(f"/sessions/{session_id}/observe", json=seen).raise_for_status()
    stm = api.get(f"/sessions/{session_id}/stm").json()["stm"]
    return stm, api.get(f"/sessions/{session_id}/predictions").raise_for_status().json()["predictions"]


@pytest.fixture(params=["SQLite", "Redis and MongoDB"])
def processor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Processor]:
    """A maker of processors of their own on each kind of store, not started yet."""
    if request.param == "SQLite":
        processes: Processes = request.getfixturevalue("processes")
        ids = itertools.count()
        yield lambda: processes(processor_id=f"p{next(ids)}")
        return
    stores: Stores = request.getfixturevalue("stores")
    made: list[Replicas] = []

    def make() -> ServiceProcess:
        made.append(Replicas(tmp_path, stores))
        return made[-1].add()

    yield make
    for each in made:
        each.close()


def pieces(data: bytes, size: int = 65_536) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def test_a_memory_moves_to_another_processor(processor: Processor) -> None:
    with processor().start() as one, one.client() as api:
        teach(api, "alice", 20)
        teach(api, "bob", 3)
        teach_all_kinds(api, "carol")
        exported, expected = api.get("/export"), expectations(api, "carol")
        head = json.loads(exported.content.splitlines()[0])
        for kind in (b'"frequency":3', b'"emotives":[{', b'"metadata":{"book":["b1","b2","b3"]}', b'"vector":"VCTR|'):
            assert kind in exported.content
        assert exported.headers["content-type"] == "application/x-ndjson"
        assert f'filename="{one.settings["KATO_PROCESSOR_ID"]}.kato.jsonl"' in exported.headers["content-disposition"]
        alone = api.get("/export", params={"node_id": "bob"}).content
        assert json.loads(alone.splitlines()[0]) == {"kato_memory": 1, "nodes": 1, "patterns": 3}
    two = processor()
    with two.start(), two.client() as api:
        answer = api.post("/import", content=exported.content).raise_for_status().json()
        assert (answer["status"], answer["patterns"], answer["vectors"]) == ("imported", head["patterns"], 5)
        assert [node["node_id"] for node in answer["nodes"]] == ["alice", "bob", "carol"]
        assert api.get("/export").content == exported.content
        assert expectations(api, "carol") == expected
        two.kill()
    with two.start(), two.client() as api:
        assert api.get("/export").content == exported.content
        assert expectations(api, "carol") == expected
        again = api.post("/import", content=exported.content)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "MEMORY_NOT_EMPTY")
        api.post("/import", params={"merge": True}, content=exported.content).raise_for_status()
        totals = api.get("/symbols/stats", params={"node_id": "alice"}).json()["totals"]
        assert (totals["total_unique_patterns"], totals["total_pattern_frequencies"]) == (20, 40)


def test_an_import_may_be_longer_than_any_body(processes: Processes) -> None:
    with processes(max_body_bytes="65536").start() as service, service.client() as api:
        teach(api, "alice", 60, size=500)
        for _ in range(6):
            teach(api, f"user-{_}", 60, size=500)
        exported = api.get("/export").content
        assert len(exported) > 3 * 65536
    with processes(max_body_bytes="65536").start() as service, service.client() as api:
        api.post("/import", content=pieces(exported)).raise_for_status()
        assert api.get("/export").content == exported


def test_the_same_key_imports_once(processes: Processes) -> None:
    with processes().start() as service, service.client() as api:
        teach(api, "alice", 5)
        exported = api.get("/export").content
        for _ in range(3):
            headers = {"Idempotency-Key": "once"}
            api.post("/import", params={"merge": True}, content=exported, headers=headers).raise_for_status()
        totals = api.get("/symbols/stats", params={"node_id": "alice"}).json()["totals"]
        assert totals["total_pattern_frequencies"] == 10


def test_a_damaged_export_is_refused_and_nothing_is_taken_in(api: httpx.Client, user: str) -> None:
    teach(api, user, 4)
    exported = api.get("/export", params={"node_id": user}).content
    damaged = exported.replace(b'"frequency":1', b'"frequency":7', 1)
    for content in (damaged, exported[:-30], b"", b"{}"):
        query = {"node_id": f"{user}-copy"}
        answer = api.post("/import", params=query, content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID_EXPORT")
        assert answer.json()["error"]["field"]
        assert api.get("/patterns", params=query).json()["total"] == 0
    assert api.post("/import", params={"merge": "perhaps"}, content=exported).status_code == 422
    assert api.post("/import", content=exported, headers={"Idempotency-Key": "x" * 256}).status_code == 422
