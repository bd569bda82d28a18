"""Replicas take in the same or another export at once: one import wins, and nothing counts twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.support.service_process import ServiceProcess
from tests.support.stores.replicas import Replicas

TIMES = 5


def teach(api: httpx.Client, user: str, words: str) -> None:
    body = {"user_id": user, "config": {"process_predictions": False}}
    session_id = api.post("/sessions", json=body).raise_for_status().json()["session_id"]
    observations = [{"strings": [f"{word}{index}", word]} for index in range(40) for word in words]
    body = {"observations": observations, "learn_after_each": True}
    api.post(f"/sessions/{session_id}/observe-sequence", json=body).raise_for_status()


def exported(api: httpx.Client, user: str) -> bytes:
    return api.get("/export", params={"node_id": user}).raise_for_status().content


def at_once(services: list[ServiceProcess], node: str, exports: list[bytes], key: str = "") -> list[httpx.Response]:
    """Have each replica import one export into the KB of `node` at the same moment."""

    def post(service: ServiceProcess, export: bytes) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        with service.client() as api:
            return api.post("/import", params={"node_id": node}, content=export, headers=headers)

    with ThreadPoolExecutor(len(services)) as pool:
        return list(pool.map(post, services, exports))


def test_of_imports_at_once_into_one_memory_one_wins(replicas: Replicas) -> None:
    services = replicas.start(2)
    with services[0].client() as api, services[1].client() as other:
        for user in ("one", "two"):
            teach(api, user, user)
        exports = [exported(api, user) for user in ("one", "two")]
        for time in range(TIMES):
            node = f"target-{time}"
            answers = at_once(services, node, exports)
            assert sorted(answer.status_code for answer in answers) == [200, 409]
            (winner,) = (export for export, answer in zip(exports, answers, strict=True) if answer.status_code == 200)
            refused = next(answer for answer in answers if answer.status_code == 409)
            assert refused.json()["error"]["code"] == "MEMORY_NOT_EMPTY"
            # Whoever learns there next has read all of it.
            assert patterns(api, node) == patterns(other, node) == len(winner.splitlines()) - 3


def patterns(api: httpx.Client, node: str) -> int:
    body = {"user_id": node, "config": {"process_predictions": False}}
    session_id = api.post("/sessions", json=body).raise_for_status().json()["session_id"]
    api.post(f"/sessions/{session_id}/finalize-training").raise_for_status()
    totals = api.get("/symbols/stats", params={"node_id": node}).raise_for_status().json()["totals"]
    assert totals["total_unique_patterns"] == totals["total_pattern_frequencies"]
    found: int = totals["total_unique_patterns"]
    return found


def test_one_import_asked_of_two_replicas_with_one_key_counts_once(replicas: Replicas) -> None:
    services = replicas.start(2)
    with services[0].client() as api, services[1].client() as other:
        teach(api, "one", "one")
        export = exported(api, "one")
        for time in range(TIMES):
            node = f"target-{time}"
            answers = at_once(services, node, [export, export], key=f"key-{time}")
            assert [answer.status_code for answer in answers] == [200, 200]
            assert patterns(api, node) == patterns(other, node) == len(export.splitlines()) - 3


def test_a_sequence_longer_than_a_document_of_the_store_is_learned_and_found_again(replicas: Replicas) -> None:
    first, second = replicas.start(2)
    with first.client() as api, second.client() as other:
        body = {"user_id": "alice", "config": {"process_predictions": False}}
        path = f"/sessions/{api.post('/sessions', json=body).raise_for_status().json()['session_id']}"
        for part in range(3):  # of 7 MB
            strings = [f"{part}:{index:08}" * 2000 for index in range(350)]
            api.post(f"{path}/observe", json={"strings": strings}).raise_for_status()
        name = api.post(f"{path}/learn").raise_for_status().json()["pattern_name"]
        other.post(f"{path}/finalize-training").raise_for_status()
        first.kill()
        first.start()
        with first.client() as again:
            query = {"node_id": "alice"}
            found = [each.get(f"/pattern/{name}", params=query).raise_for_status() for each in (again, other)]
        assert len({answer.content for answer in found}) == 1
        pattern = found[0].json()["pattern"]["pattern"]
        assert ([len(event) for event in pattern["pattern_data"]], pattern["frequency"]) == ([350] * 3, 1)
