"""The client against a real HTTP server that answers as it is told: busy, broken, gone, and well."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kato_client import ApiError, AsyncKatoClient, DamagedExport, KatoClient, Unreachable, generate
from kato_client.calls import Digest

Answer = tuple[int, dict[str, str], bytes]
BOTH_CLIENTS = """
import asyncio, sys
from kato_client import AsyncKatoClient, KatoClient

async def main():
    async with AsyncKatoClient("http://127.0.0.1:1"):
        print(*{name.partition(".")[0] for name in sys.modules})

with KatoClient("http://127.0.0.1:1"):
    asyncio.run(main())
"""
SERVER = "fastapi starlette uvicorn redis pymongo bson kopf kubernetes orjson kato_service kato_operator kato_cli"


@dataclass
class Script:
    """What the server answers, in order (the last one for ever), and what it was asked."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""
    dropped: int = 0

    def will(self, *statuses: int, body: object = None, headers: dict[str, str] | None = None) -> None:
        self.answers += [(status, headers or {}, json.dumps(body or {}).encode()) for status in statuses]


@pytest.fixture
def server() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                while self.rfile.readline() != b"0\r\n":
                    pass
                self.rfile.readline()
            body = json.loads(self.rfile.read(length)) if length else None
            script.asked.append((self.command, self.path, dict(self.headers), body))
            if script.dropped:
                script.dropped -= 1
                self.close_connection = True
                return
            status, headers, content = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            self.send_response(status)
            for key, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Keep the test's output clean."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.url = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield script
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def waits() -> list[float]:
    """The seconds that the client would have waited."""
    return []


@pytest.fixture
def kato(server: Script, waits: list[float]) -> Iterator[KatoClient]:
    with KatoClient(server.url, token="sesame", sleep=waits.append) as client:  # noqa: S106 - not a real one
        yield client


def busy(code: str) -> dict[str, Any]:
    return {"detail": "busy", "error": {"code": code, "message": "busy"}}


CHANGES: dict[str, Callable[[KatoClient], object]] = {
    "create_session": lambda kato: kato.create_session("me"),
    "clear_stm": lambda kato: kato.clear_stm("s"),
    "clear_all": lambda kato: kato.clear_all("s"),
}
MAY_BE_REPEATED: dict[str, Callable[[KatoClient], object]] = {
    "observe": lambda kato: kato.observe(["a"], session_id="s"),
    "learn": lambda kato: kato.learn("s"),
    "stm": lambda kato: kato.stm("s"),
    "predictions": lambda kato: kato.predictions("s", stm=[["a"]]),
    "update_config": lambda kato: kato.update_config("s", persistence=7),
    "extend_session": lambda kato: kato.extend_session("s", 7),
    "finalize_training": lambda kato: kato.finalize_training("s"),
    "delete_session": lambda kato: kato.delete_session("s"),
    "import_memory": lambda kato: kato.import_memory(lambda: iter([b"1"])),
}


def test_busy_answers_are_tried_again_and_count_once(server: Script, kato: KatoClient, waits: list[float]) -> None:
    server.will(503, headers={"Retry-After": "12"})
    server.will(429, headers={"Retry-After": "3"})
    server.will(503)
    server.will(200, body={"status": "okay", "stm_length": 1})
    assert kato.observe(["a"], session_id="s")["stm_length"] == 1
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in server.asked}
    assert (len(server.asked), len(keys)) == (4, 1)
    assert waits == [12.0, 3.0, 0.4]  # as asked, and where nothing is, longer after each attempt
    assert server.asked[0][3] == {"strings": ["a"], "vectors": [], "emotives": {}, "metadata": {}}
    kato.observe(["a"], session_id="s")
    assert server.asked[-1][2]["Idempotency-Key"] not in keys


def test_a_date_to_come_again_is_a_time_to_wait(server: Script, kato: KatoClient, waits: list[float]) -> None:
    server.will(503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    server.will(503, headers={"Retry-After": "when the cows come home"})
    server.will(200)
    kato.stm()
    assert waits == [0.0, 0.2]
    server.will(503, headers={"Retry-After": formatdate(time.time() + 3600, usegmt=True)})
    server.will(200)
    server.answers.pop(0)
    with KatoClient(server.url, patience=4000, sleep=waits.append) as patient:
        patient.stm()
    assert 3000 < waits[2] <= 3600


def test_patience_is_for_all_waits_together(server: Script, waits: list[float]) -> None:
    server.will(503, body=busy("LOADING"), headers={"Retry-After": "8"})
    with KatoClient(server.url, attempts=99, patience=20, sleep=waits.append) as kato:
        with pytest.raises(ApiError, match="LOADING"):
            kato.stm()
        assert waits == [8.0, 8.0]
        waits.clear()
        server.answers = [(503, {"Retry-After": "21"}, b"{}")]
        with pytest.raises(ApiError):
            kato.stm()
    assert not waits


@pytest.mark.parametrize("call", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(
    ("status", "code", "times"),
    [
        (429, "TOO_MANY_SESSIONS", 2),
        (503, "LOADING", 2),
        (503, "OVERLOADED", 2),
        (503, "STORE_UNAVAILABLE", 1),
        (503, "", 1),
    ],
)
def test_a_change_without_a_key_is_repeated_only_where_nothing_was_done(
    server: Script, kato: KatoClient, call: Callable[[KatoClient], object], status: int, code: str, times: int
) -> None:
    server.will(status, body=busy(code))
    server.will(200, body={"session_id": "s"})
    if times == 1:
        with pytest.raises(ApiError, match=f"HTTP {status}"):
            call(kato)
    else:
        call(kato)
    assert len(server.asked) == times


@pytest.mark.parametrize("lost", [True, False])
def test_what_a_repeated_deletion_does_not_find_is_deleted(server: Script, kato: KatoClient, lost: bool) -> None:
    if lost:
        server.dropped = 1
    else:
        server.will(503, body=busy("STORE_UNAVAILABLE"))
    server.will(404, body=busy("SESSION_NOT_FOUND"))
    kato.delete_session("s")
    assert len(server.asked) == 2
    with pytest.raises(ApiError, match="SESSION_NOT_FOUND"):
        kato.delete_session("s")
    server.answers = [(503, {}, b"{}"), (404, {}, json.dumps(busy("PROCESSOR_NOT_FOUND")).encode())]
    with pytest.raises(ApiError, match="PROCESSOR_NOT_FOUND"):
        kato.delete_session("s")


def test_a_service_that_stays_busy_is_an_error_in_the_end(server: Script, kato: KatoClient) -> None:
    body = {"detail": "loading", "error": {"code": "LOADING", "message": "still loading"}}
    server.will(503, body=body, headers={"Retry-After": "1"})
    with pytest.raises(ApiError) as caught:
        kato.stm()
    assert (caught.value.status, caught.value.code, caught.value.message) == (503, "LOADING", "still loading")
    assert len(server.asked) == 4


def test_a_refusal_is_not_tried_again_and_keeps_its_detail(server: Script, kato: KatoClient) -> None:
    detail = {"error": "Invalid", "validation_errors": {"recall_threshold": "2.0"}}
    server.will(400, body={"detail": detail, "error": {"code": "INVALID_CONFIGURATION", "message": "no"}})
    with pytest.raises(ApiError, match=r"no \(HTTP 400, INVALID_CONFIGURATION\)") as caught:
        kato.create_session("me", config={"recall_threshold": 2.0})
    assert caught.value.detail == detail
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>bad gateway</html>", "<html>bad gateway</html>"),
        (b'"text"', '"text"'),
        (b"[]", "[]"),
        (b'{"kind": "Status", "message": "services is forbidden"}', "services is forbidden"),
    ],
)
def test_an_error_of_another_program_is_an_error_too(
    server: Script, kato: KatoClient, content: bytes, message: str
) -> None:
    server.answers = [(502, {}, content)]
    with pytest.raises(ApiError, match=re.escape(message)) as caught:
        kato.ping()
    assert (caught.value.status, caught.value.code) == (502, "HTTP_502")


def test_nobody_there() -> None:
    with (
        KatoClient("http://127.0.0.1:1") as kato,
        pytest.raises(Unreachable, match=r"no answer from http://127.0.0.1:1"),
    ):
        kato.ping()


def test_a_proxy_of_the_environment_is_not_asked_about_this_machine(
    server: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.will(200, body={"status": "okay", "id": "a", "name": "b"})
    with KatoClient(server.url) as kato:
        assert kato.ping()["id"] == "a"


def test_pages_of_sessions_are_one_stream(server: Script, kato: KatoClient) -> None:
    server.will(200, body={"sessions": [{"session_id": "1"}], "next_cursor": "c1"})
    server.will(200, body={"sessions": [{"session_id": "2"}], "next_cursor": None})
    assert [one["session_id"] for one in kato.sessions("me")] == ["1", "2"]
    assert [path for _, path, _, _ in server.asked] == ["/sessions?user_id=me", "/sessions?user_id=me&cursor=c1"]


def test_paths_bodies_and_token(server: Script, kato: KatoClient) -> None:
    server.will(200, body={"pattern": {"pattern": {}}})
    kato.learn()
    kato.learn("s/1")
    kato.clear_stm("s")
    kato.predictions("s", max_predictions=3)
    kato.predictions("s", stm=[["a"], ["b"]], recall_threshold=0.5)
    kato.observe_sequence([["a"], ["b"]], session_id="s", learn_at_end=True)
    kato.delete_session("s")
    kato.session("s")
    kato.status()
    kato.pattern("PTRN|1", node_id="me")
    assert [(method, path) for method, path, _, _ in server.asked] == [
        ("POST", "/learn"),
        ("POST", "/sessions/s%2F1/learn"),
        ("POST", "/sessions/s/clear-stm"),
        ("GET", "/sessions/s/predictions?max_predictions=3"),
        ("POST", "/sessions/s/predictions"),
        ("POST", "/sessions/s/observe-sequence"),
        ("DELETE", "/sessions/s"),
        ("GET", "/sessions/s"),
        ("GET", "/status"),
        ("GET", "/pattern/PTRN%7C1?node_id=me"),
    ]
    assert server.asked[4][3] == {"stm": [["a"], ["b"]], "recall_threshold": 0.5}
    assert server.asked[5][3]["observations"] == [{"strings": ["a"]}, {"strings": ["b"]}]
    assert {headers["Authorization"] for _, _, headers, _ in server.asked} == {"Bearer sesame"}


async def test_the_asynchronous_client_does_the_same(server: Script) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    server.will(503, headers={"Retry-After": "11"})
    server.will(200, body={"status": "okay", "stm_length": 1})
    async with AsyncKatoClient(server.url, token="sesame", sleep=sleep) as kato:  # noqa: S106 - not a real one
        assert (await kato.observe(["a"], session_id="s"))["stm_length"] == 1
    assert waits == [11.0]
    first, second = server.asked
    assert first == second
    assert first[2]["Idempotency-Key"]


@pytest.mark.parametrize("call", MAY_BE_REPEATED.values(), ids=MAY_BE_REPEATED)
def test_a_call_that_may_be_repeated_survives_a_lost_answer(
    server: Script, kato: KatoClient, call: Callable[[KatoClient], object]
) -> None:
    server.dropped = 2
    server.will(200, body={"config": {}})
    call(kato)
    keys = [headers.get("Idempotency-Key") for _, _, headers, _ in server.asked]
    assert (len(keys), len(set(keys))) == (3, 1)


@pytest.mark.parametrize("call", CHANGES.values(), ids=CHANGES)
def test_a_call_that_may_not_is_not_repeated(
    server: Script, kato: KatoClient, call: Callable[[KatoClient], object]
) -> None:
    server.dropped = 1
    server.will(200)
    with pytest.raises(Unreachable):
        call(kato)
    assert len(server.asked) == 1


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_damaged_export_is_found_out(size: int) -> None:
    lines = b'{"kato_memory":1}\n{"node":"me"}\n'
    end = b'{"end":{"sha256":"%b"}}\n' % hashlib.sha256(lines).hexdigest().encode()
    for content, whole in (
        (lines + end, True),
        (lines.replace(b"me", b"ma") + end, False),
        (lines, False),
        (b"", False),
    ):
        digest = Digest()
        for start in range(0, len(content), size):
            digest.take(content[start : start + size])
        if whole:
            digest.finish()
        else:
            with pytest.raises(DamagedExport):
                digest.finish()


def test_both_clients_need_nothing_of_a_server() -> None:
    found = subprocess.run([sys.executable, "-c", BOTH_CLIENTS], check=True, capture_output=True, text=True).stdout
    assert {"httpx", "kato_client"} <= set(found.split())
    assert not set(SERVER.split()) & set(found.split())


def test_the_synchronous_client_is_made_from_the_other() -> None:
    assert generate.main(["--check"]) == 0
    assert "await" not in generate.synchronous(generate.SOURCE.read_text()).replace("awaits", "")
