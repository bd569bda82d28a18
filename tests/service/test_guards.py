"""Tokens, body limits, session limits, the side door, and what the log says and never says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.service_process import INTERNAL_TOKEN, ServiceProcess

LIMIT = 4096
TOKEN = "first-secret"  # noqa: S105 - a test's own


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    settings = {"KATO_TOKENS": f" {TOKEN} , second-secret,", "KATO_MAX_BODY_BYTES": str(LIMIT)}
    with ServiceProcess(tmp_path_factory.mktemp("guarded"), settings).start() as running:
        yield running


@pytest.fixture
def allowed(guarded: ServiceProcess) -> Iterator[httpx.Client]:
    with guarded.client(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", f"Basic {TOKEN}", TOKEN, "Bearer first-secre\xff"])
def test_without_a_known_token_only_the_probes_answer(guarded: ServiceProcess, header: str | None) -> None:
    headers = {b"Authorization": header.encode("latin-1")} if header is not None else {}
    with guarded.client() as api:
        for path in ("/ping", "/", "/sessions", "/kato/ping", "/docs", "/openapi.json", "/another/ping", "/nothing"):
            answer = api.get(path, headers=headers)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"]["code"] == "UNAUTHORIZED"
            assert "kato" not in answer.text.replace("Send a known token", "")
        probes = [f"{prefix}/{probe}" for prefix in ("", "/kato") for probe in ("livez", "readyz", "startupz")]
        assert {api.get(probe).status_code for probe in probes} == {200}


def test_who_has_a_token_is_told_which_processor_serves(allowed: httpx.Client) -> None:
    answer = allowed.get("/another/ping")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "PROCESSOR_NOT_FOUND")
    assert answer.json()["error"]["processor_id"] == "kato"


@pytest.mark.parametrize("token", [TOKEN, "second-secret"])
def test_each_token_lets_in(guarded: ServiceProcess, token: str) -> None:
    with guarded.client(headers={"Authorization": f"bearer {token}"}) as api:
        assert api.get("/ping").status_code == 200
        assert api.get("/kato/ping").status_code == 200


def large(stated: bool) -> bytes | Iterator[bytes]:
    content = b'{"strings": ["' + b"x" * LIMIT + b'"]}'
    return content if stated else iter([content[:100], content[100:]])


@pytest.mark.parametrize("stated", [True, False])
def test_a_body_that_is_too_large_is_refused_however_it_comes(allowed: httpx.Client, stated: bool) -> None:
    session_id = allowed.post("/sessions", json={"user_id": "u"}).json()["session_id"]
    answer = allowed.post(
        f"/sessions/{session_id}/observe", content=large(stated), headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "BODY_TOO_LARGE")
    assert str(LIMIT) in answer.json()["detail"]
    assert allowed.get(f"/sessions/{session_id}/stm").json()["length"] == 0


def test_the_log_has_a_line_for_each_request_and_no_secret(guarded: ServiceProcess, allowed: httpx.Client) -> None:
    made = allowed.post("/sessions", json={"user_id": "logged"}, headers={"X-Request-ID": "find-me"}).json()

    def line() -> dict[str, Any] | None:
        return next((each for each in guarded.lines() if each.get("request_id") == "find-me"), None)

    found = eventually(line)
    assert found is not None
    assert {name: found[name] for name in ("method", "path", "status", "session", "node")} == {
        "method": "POST",
        "path": "/sessions",
        "status": 200,
        "session": made["session_id"],
        "node": "logged",
    }
    assert found["duration_ms"] > 0
    text = guarded.log.read_text()
    for secret in (TOKEN, "second-secret", INTERNAL_TOKEN):
        assert secret not in text


def test_the_session_limit_asks_to_come_again(processes: Callable[..., ServiceProcess]) -> None:
    with processes().start() as service, service.client() as api, service.side_door() as door:
        record = {"uid": "u", "generation": 1, "sessions": {"max_active": 2, "ttl_seconds": 60}}
        assert door.put("/internal/parameters", json=record).json() == {"generation": 1}
        codes = [api.post("/sessions", json={"user_id": "u"}).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        refused = api.post("/sessions", json={"user_id": "u"})
        assert refused.json()["error"]["code"] == "TOO_MANY_SESSIONS"
        assert int(refused.headers["retry-after"]) >= 1
        assert api.post("/observe", json={"strings": ["a"]}).status_code == 200


DECLARATION = {"uid": "d1", "generation": 1, "name": "main", "user_id": "alice", "config": {"max_predictions": 3}}


def test_the_side_door_wants_its_own_token(service: ServiceProcess) -> None:
    with service.side_door("wrong") as door:
        assert door.get("/internal/state").status_code == 401
    with service.client() as api:
        assert api.get("/internal/state", headers={"Authorization": f"Bearer {INTERNAL_TOKEN}"}).status_code == 404


def test_the_side_door_brings_parameters_and_sessions(processes: Callable[..., ServiceProcess]) -> None:
    with processes(processor_id="p").start() as service, service.client() as api, service.side_door() as door:
        record = {"uid": "u", "generation": 2, "display_name": "Shown", "parameters": {"recall_threshold": 0.6}}
        assert door.put("/internal/parameters", json=record).json() == {"generation": 2}
        assert door.put("/internal/parameters", json={**record, "generation": 1}).status_code == 409
        bad = {**record, "generation": 3, "parameters": {"recall_threshold": 6}}
        assert door.put("/internal/parameters", json=bad).status_code == 400
        assert door.put("/internal/parameters", json={**record, "colour": 1}).status_code == 422
        declared = door.put("/internal/declarations/d1", json=DECLARATION).json()
        assert (declared["phase"], declared["generation"]) == ("Active", 1)
        config = api.get(f"/sessions/{declared['session_id']}/config").json()["config"]
        assert (config["recall_threshold"], config["max_predictions"]) == (0.6, 3)
        assert api.get("/ping").json()["name"] == "Shown"
        state = door.get("/internal/state").json()
        assert (state["processor_id"], state["parameters_uid"], state["parameters_generation"]) == ("p", "u", 2)
        assert [each["uid"] for each in state["declared"]] == ["d1"]
        assert door.put("/internal/declarations/d2", json=DECLARATION).status_code == 400
        assert door.delete("/internal/declarations/d1").json() == {"status": "deleted", "uid": "d1"}
        assert door.delete("/internal/declarations/d1").status_code == 404
        assert api.get(f"/sessions/{declared['session_id']}").status_code == 404


def test_what_the_side_door_brought_outlives_the_process(processes: Callable[..., ServiceProcess]) -> None:
    service = processes().start()
    with service.side_door() as door:
        door.put("/internal/parameters", json={"uid": "u", "generation": 5, "parameters": {"persistence": 9}})
        declared = door.put("/internal/declarations/d1", json=DECLARATION).json()
    service.kill()
    with service.start(), service.side_door() as door, service.client() as api:
        state = door.get("/internal/state").json()
        assert state["parameters_generation"] == 5
        assert state["declared"][0]["session_id"] == declared["session_id"]
        config = api.get(f"/sessions/{declared['session_id']}/config").json()["config"]
        assert config["persistence"] == 9
