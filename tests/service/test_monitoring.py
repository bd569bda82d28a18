"""The monitoring answers tell what really happened: counters that move, samples that were taken, Prometheus' format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess

Sessions = Callable[..., str]


def good(api: httpx.Client, path: str, **query: Any) -> dict[str, Any]:  # noqa: ANN401 - of a query
    answer = api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counted(api: httpx.Client, **labels: str) -> float:
    found = samples(api.get("/prometheus").text)
    return found.get(("kato_requests_total", frozenset(labels.items())), 0.0)


def test_prometheus_counts_each_route_and_status(api: httpx.Client, session: Sessions) -> None:
    session_id = session()
    route = {"method": "GET", "route": "/sessions/{session_id}/stm", "status": "200"}
    missing = {**route, "status": "404"}
    before, gone = counted(api, **route), counted(api, **missing)
    for _ in range(3):
        api.get(f"/sessions/{session_id}/stm").raise_for_status()
    assert api.get("/sessions/none/stm").status_code == 404
    assert (counted(api, **route), counted(api, **missing)) == (before + 3, gone + 1)


def test_prometheus_has_the_process_and_a_histogram(api: httpx.Client, session: Sessions) -> None:
    session()
    answer = api.get("/prometheus")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    names = {name for name, _ in samples(answer.text)}
    assert names >= {
        "kato_request_duration_seconds_bucket",
        "kato_resident_memory_bytes",
        "kato_requests_in_progress",
        "kato_patterns",
        "kato_sessions_active",
        "kato_sessions_created_total",
    }


def test_metrics_are_json_unless_accept_names_text(api: httpx.Client) -> None:
    for accept in ("text/plain", "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"):
        answer = api.get("/metrics", headers={"Accept": accept})
        assert "# TYPE kato_requests_total counter" in answer.text
    for accept in ("*/*", "application/json"):
        assert "performance" in api.get("/metrics", headers={"Accept": accept}).json()


def test_the_json_metrics_move(api: httpx.Client, session: Sessions) -> None:
    before = good(api, "/metrics")
    session_id = session()
    for _ in range(5):
        api.post(f"/sessions/{session_id}/observe", json={"strings": ["a"]}).raise_for_status()
    api.delete(f"/sessions/{session_id}").raise_for_status()
    after = good(api, "/metrics")
    grown = {name: after["sessions"][name] - before["sessions"][name] for name in after["sessions"]}
    assert (grown["total_created"], grown["total_deleted"], grown["active"]) == (1, 1, 0)
    assert grown["operations_total"] >= 5
    assert after["performance"]["total_requests"] - before["performance"]["total_requests"] >= 8
    assert after["performance"]["average_response_time"] > 0
    assert after["databases"]["memory"]["kind"] == "sqlite"
    assert after["databases"]["sessions"]["status"] == "up"
    assert 0 < after["resources"]["memory_percent"] < 100
    assert after["processor_manager"]["processors"].keys() == {"p1"}


def test_samples_are_taken_and_shown(api: httpx.Client) -> None:
    eventually(lambda: good(api, "/health")["metrics_collected"] >= 1)
    stats = good(api, "/stats", minutes=5)
    wanted = {"kato_cpu_usage_percent", "kato_memory_usage_percent", "kato_requests_total"}
    assert wanted | {"kato_request_duration_seconds"} <= stats["time_series"].keys()
    metric = good(api, "/metrics/kato_memory_usage_percent")
    values = [point["value"] for point in metric["data_points"]]
    assert metric["statistics"]["count"] == len(values) >= 1
    assert min(values) <= metric["statistics"]["avg"] <= max(values)
    assert (metric["metric_name"], metric["time_range_minutes"]) == ("kato_memory_usage_percent", 10)
    assert good(api, "/health")["last_collection"]


def test_a_metric_that_nobody_took(api: httpx.Client) -> None:
    answer = api.get("/metrics/kato_luck")
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("No data available for metric 'kato_luck'")
    for minutes in ("0", "1441", "ten"):
        assert api.get("/stats", params={"minutes": minutes}).status_code == 422


def test_pools_concurrency_and_caches(api: httpx.Client, session: Sessions) -> None:
    pools = good(api, "/connection-pools")
    assert (pools["status"], pools["pools"].keys()) == ("healthy", {"memory", "sessions"})
    assert pools["pools"]["memory"]["connections"] == 1
    assert good(api, "/concurrency")["requests"]["in_progress"] == 1
    session_id = session()
    before = good(api, "/cache/stats")["caches"]["predictions"]
    api.post(f"/sessions/{session_id}/observe", json={"strings": ["a"]}).raise_for_status()
    for _ in range(3):
        api.get(f"/sessions/{session_id}/predictions").raise_for_status()
    after = good(api, "/cache/stats")["caches"]["predictions"]
    assert after["entries"] >= 1
    assert (after["hits"] - before["hits"], after["misses"] - before["misses"]) == (3, 1)


def test_more_requests_than_the_limit_are_asked_to_come_again(processes: Callable[..., ServiceProcess]) -> None:
    with processes(max_concurrent_requests="1").start() as service, service.client() as api, service.client() as other:

        def slowly() -> Any:  # noqa: ANN401 - an iterator of bytes
            yield b'{"strings":'
            refused.append(other.get("/ping"))
            refused.append(other.get("/livez"))
            yield b'["a"]}'

        refused: list[httpx.Response] = []
        answer = api.post("/observe", content=slowly(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 200
        over, probe = refused
        assert (over.status_code, over.json()["error"]["code"]) == (503, "OVERLOADED")
        assert over.headers["retry-after"] == "1"
        assert probe.status_code == 200
        assert good(api, "/concurrency")["requests"]["refused"] == 1
