"""What happens is told over the WebSocket, in order, to whoever may hear it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess

Processes = Callable[..., ServiceProcess]


@pytest.fixture
def running(processes: Processes) -> Iterator[ServiceProcess]:
    with processes(processor_id="p1").start() as service:
        yield service


def listen(service: ServiceProcess, path: str = "/ws/events", **options: Any) -> ClientConnection:  # noqa: ANN401 - connect's
    return connect(f"ws://127.0.0.1:{service.port}{path}", open_timeout=30, **options)


def heard(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=30))
    assert message.keys() == {"event_type", "timestamp", "data"}
    return message


def kinds(socket: ClientConnection, count: int) -> list[str]:
    return [heard(socket)["event_type"] for _ in range(count)]


@pytest.mark.parametrize("path", ["/ws/events", "/p1/ws/events"])
def test_it_begins_with_a_snapshot(running: ServiceProcess, path: str) -> None:
    with listen(running, path) as socket:
        first = heard(socket)
        assert first["event_type"] == "state.snapshot"
        status = first["data"]["system_status"]
        assert (status["status"], status["processor_id"], status["patterns"]) == ("healthy", "p1", 0)


def test_a_session_s_life_is_told(running: ServiceProcess) -> None:
    with listen(running) as socket, running.client() as api, running.side_door() as door:
        heard(socket)
        made = api.post("/sessions", json={"user_id": "u", "config": {"quiescence": 2}}).json()
        path = f"/sessions/{made['session_id']}"
        body = {"observations": [{"strings": ["a"]}, {"strings": ["b"]}], "learn_at_end": True}
        name = api.post(f"{path}/observe-sequence", json=body).json()["final_learned_pattern"]
        for _ in range(4):
            api.post(f"{path}/observe", json={})
        record = {"uid": "u", "generation": 3, "parameters": {"recall_threshold": 0.5}}
        door.put("/internal/parameters", json=record).raise_for_status()
        api.delete(path)
        made_told, learned, at_rest, changed, gone = (heard(socket) for _ in range(5))
        who = {"session_id": made["session_id"], "node_id": "u", "user_id": "u"}
        assert (made_told["event_type"], made_told["data"]) == ("session.created", {**who, "ttl_seconds": 3600})
        assert (learned["event_type"], learned["data"]["pattern_name"]) == ("pattern.learned", name)
        assert learned["data"]["session_id"] == made["session_id"]
        assert (at_rest["event_type"], at_rest["data"]["observations_without_symbols"]) == ("session.at_rest", 2)
        assert changed["event_type"] == "parameters.changed"
        assert (changed["data"]["generation"], changed["data"]["parameters"]["recall_threshold"]) == (3, 0.5)
        assert (gone["event_type"], gone["data"]) == ("session.destroyed", {**who, "reason": "explicit_delete"})


def test_expiry_is_told(running: ServiceProcess) -> None:
    with listen(running) as socket, running.client() as api:
        heard(socket)
        api.post("/sessions", json={"user_id": "u", "ttl_seconds": 1}).raise_for_status()
        assert heard(socket)["event_type"] == "session.created"
        gone = heard(socket)
        assert (gone["event_type"], gone["data"]["reason"]) == ("session.destroyed", "expired")


def test_a_repeated_request_is_told_once(running: ServiceProcess) -> None:
    with listen(running) as socket, running.client() as api:
        heard(socket)
        session_id = api.post("/sessions", json={"user_id": "u", "config": {"quiescence": 1}}).json()["session_id"]
        for _ in range(3):
            api.post(f"/sessions/{session_id}/observe", json={}, headers={"Idempotency-Key": "k"}).raise_for_status()
        api.delete(f"/sessions/{session_id}")
        assert kinds(socket, 3) == ["session.created", "session.at_rest", "session.destroyed"]


@pytest.mark.parametrize("ping", ["ping", '{"type": "ping"}', '{"event_type":"ping"}'])
def test_pings_are_answered_and_nonsense_is_not(running: ServiceProcess, ping: str) -> None:
    with listen(running) as socket:
        heard(socket)
        for nonsense in ("", "{", "[1]", "null", '{"type": "pong"}', "\x00"):
            socket.send(nonsense)
        socket.send(ping)
        pong = heard(socket)
        assert (pong["event_type"], pong["data"]) == ("pong", {})


def test_events_are_for_those_with_a_token(processes: Processes) -> None:
    with processes(tokens="sesame").start() as service:
        with pytest.raises(InvalidStatus) as caught, listen(service):
            pass
        assert caught.value.response.status_code == 401
        with listen(service, additional_headers={"Authorization": "Bearer sesame"}) as socket:
            assert heard(socket)["event_type"] == "state.snapshot"


def logged(service: ServiceProcess, request_id: str) -> list[tuple[str, str, int]]:
    lines = [line for line in service.lines() if line.get("request_id") == request_id]
    assert all(line["duration_ms"] > 0 for line in lines)
    return [(line["method"], line["path"], line["status"]) for line in lines]


def test_a_handshake_is_logged_and_counted_once_as_any_request(processes: Processes) -> None:
    token = {"Authorization": "Bearer sesame"}
    with processes(tokens="sesame", processor_id="p1").start() as service, service.client(headers=token) as api:
        asked = {
            "in": ("/p1/ws/events", token, 101),
            "strange": ("/ws/events", {}, 401),
            "elsewhere": ("/other/ws/events", token, 404),
            "nowhere": ("/ws/nothing", token, 403),
        }
        with listen(service, additional_headers={**token, "X-Request-ID": "stays"}) as socket:
            heard(socket)  # counted while it is there, and counted once when it has gone
            assert socket.response is not None
            assert socket.response.headers["X-Request-ID"] == "stays"
            for name, (path, headers, status) in asked.items():
                with (
                    suppress(InvalidStatus),
                    listen(service, path, additional_headers={**headers, "X-Request-ID": name}) as other,
                ):
                    heard(other)
                assert eventually(partial(logged, service, name)) == [("GET", path, status)]
            assert logged(service, "stays") == [("GET", "/ws/events", 101)]
            assert api.get("/concurrency").json()["requests"]["in_progress"] == 1
        text = api.get("/prometheus").text
        assert 'kato_requests_total{method="GET",route="/ws/events",status="101"} 2.0' in text
        assert len([line for line in text.splitlines() if "kato_requests_total{" in line and 'status="4' in line]) == 3
        assert logged(service, "stays") == [("GET", "/ws/events", 101)]


def test_a_stop_ends_the_stream(running: ServiceProcess) -> None:
    with listen(running) as socket:
        heard(socket)
        assert running.stop() == 0
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)
    assert [line["event"] for line in running.lines()][-1] == "stopped"


def test_a_path_that_is_none(running: ServiceProcess, api: httpx.Client) -> None:
    for path in ("/ws/nothing", "/other/ws/events", "/sessions"):
        with pytest.raises(InvalidStatus), listen(running, path):
            pass
    assert api.get("/ws/events").status_code == 404
