"""A memory goes out and comes in over HTTP: by the byte, of any length, while the processor serves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx

from tests.support.service_process import ServiceProcess

Processes = Callable[..., ServiceProcess]


def teach(api: httpx.Client, user: str, count: int, size: int = 1) -> None:
    session_id = api.post("/sessions", json={"user_id": user}).raise_for_status().json()["session_id"]
    observations = [{"strings": [f"{user}-{index}", "x" * size], "emotives": {"joy": 0.1}} for index in range(count)]
    body = {"observations": observations, "learn_after_each": True}
    api.post(f"/sessions/{session_id}/observe-sequence", json=body).raise_for_status()


def pieces(data: bytes, size: int = 65_536) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def test_a_memory_moves_to_another_processor(processes: Processes) -> None:
    with processes(processor_id="one").start() as one, one.client() as api:
        teach(api, "alice", 20)
        teach(api, "bob", 3)
        exported = api.get("/export")
        assert exported.headers["content-type"] == "application/x-ndjson"
        assert 'filename="one.kato.jsonl"' in exported.headers["content-disposition"]
        alone = api.get("/export", params={"node_id": "bob"}).content
        assert json.loads(alone.splitlines()[0]) == {"kato_memory": 1, "nodes": 1, "patterns": 3}
    two = processes(processor_id="two")
    with two.start(), two.client() as api:
        answer = api.post("/import", content=exported.content).raise_for_status().json()
        assert (answer["status"], answer["patterns"]) == ("imported", 23)
        assert [node["node_id"] for node in answer["nodes"]] == ["alice", "bob"]
        assert api.get("/export").content == exported.content
    two.kill()
    with two.start(), two.client() as api:
        assert api.get("/export").content == exported.content
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
