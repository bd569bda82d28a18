"""Thousands of malformed requests: no 5xx, nothing of the inside in an answer, no connection stuck, no memory kept."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable

import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.malformed import drip, post, requests, send_all
from tests.support.service_process import ServiceProcess

Processes = Callable[..., ServiceProcess]
AT_ONCE = 24
GROWTH = 24 * 2**20  # bytes that allocators may keep; a leak of 2 KiB a request would be more than that at 20,000
SETTINGS = {"max_body_bytes": "65536", "receive_seconds": "2"}
OBSERVATION = b'{"strings": ["a"]}'
CHUNKED = b"POST /observe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
PING = b"GET /ping HTTP/1.1\r\nHost: x\r\nX-Filler: y\r\n\r\n"
DRIPPED = 12  # the last bytes of a request, one every third of `receive_seconds`: four times the seconds it has


def fuzz(service: ServiceProcess, count: int) -> None:
    assert service.process is not None
    process = psutil.Process(service.process.pid)
    with service.client() as api:
        session = api.post("/sessions", json={"user_id": "u", "ttl_seconds": 10**6}).json()["session_id"]
        asyncio.run(send_all(service.port, requests(500, session, seed=0), AT_ONCE))
        sockets, resident = len(process.net_connections()), process.memory_info().rss
        replies = asyncio.run(send_all(service.port, requests(count, session), AT_ONCE))
        assert len(replies) == count
        for payload, reply in replies:
            assert reply.status < 500, (payload[:500], reply)
            assert b"Traceback" not in reply.content
            assert b'File "' not in reply.content
            head, _, body = reply.content.partition(b"\r\n\r\n")
            # A handshake for WebSockets that is none is refused by their library, in text.
            assert reply.status < 400 or b"sec-websocket" in payload.lower() or json.loads(body)["error"]["code"], head
        statuses = Counter(reply.status for _, reply in replies)
        assert statuses.keys() >= {0, 200, 400, 404, 405, 408, 413, 422}, statuses
        assert eventually(lambda: len(process.net_connections()) <= sockets, timeout=30)
        assert eventually(lambda: api.get("/concurrency").json()["requests"]["in_progress"] == 1, timeout=30)
        assert api.post("/observe", json={"strings": ["a"]}).status_code == 200
        assert process.memory_info().rss - resident < GROWTH
    events = Counter(line["event"] for line in service.lines())
    assert not events["unexpected_error"], events


@pytest.mark.timeout(600)
def test_two_thousand_malformed_requests(processes: Processes) -> None:
    with processes(**SETTINGS).start() as service:
        fuzz(service, 2000)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_twenty_thousand_malformed_requests(processes: Processes) -> None:
    with processes(**SETTINGS).start() as service:
        fuzz(service, 20_000)


def test_the_slow_are_let_go_while_others_are_served(processes: Processes) -> None:
    with processes(**SETTINGS | {"receive_seconds": "3"}).start() as service, service.client() as api:
        assert service.process is not None
        payloads = iter([b"POST /observe HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"] * 200)

        async def both() -> list[int]:
            slow = asyncio.create_task(send_all(service.port, payloads, 100))
            codes = [(await asyncio.to_thread(api.get, "/ping")).status_code for _ in range(20)]
            return codes + [reply.status for _, reply in await slow]

        codes = asyncio.run(both())
        assert codes == [200] * 20 + [408] * 200


@pytest.mark.parametrize(
    ("payload", "first", "status"),
    [
        pytest.param(PING, b"", 0, id="head"),
        pytest.param(PING, PING, 0, id="head of a second request"),
        pytest.param(post("/observe", OBSERVATION), b"", 408, id="body"),
        pytest.param(CHUNKED + b"12\r\n" + OBSERVATION + b"\r\n0\r\n\r\n", b"", 408, id="chunked body"),
        pytest.param(post("/observe", OBSERVATION), PING, 408, id="body of a second request"),
    ],
)
def test_who_drips_is_let_go_at_the_deadline(processes: Processes, payload: bytes, first: bytes, status: int) -> None:
    """Each byte comes well before an idle client's end; a deadline that moved with them would answer with 200."""
    with processes(**SETTINGS | {"receive_seconds": "3"}).start() as service:
        whole = asyncio.run(drip(service.port, payload, 0, 1, first))
        assert whole.status == 200
        reply = asyncio.run(drip(service.port, payload, DRIPPED, 1, first))
        assert reply.status == status, reply
