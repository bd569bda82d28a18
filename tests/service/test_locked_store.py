"""A database that another program holds: writes are refused soon, reads of what is known go on, and it passes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.eventually import Deadline
from tests.support.service_process import ServiceProcess

BOUND = 2.0  # seconds in which an answer comes
HANGS = 60.0  # seconds after which a call is given up


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock of a database, as a program that copies or repairs it would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def soon(call: Callable[[], httpx.Response]) -> httpx.Response:
    """Return the answer, which comes in time."""
    deadline = Deadline(HANGS, BOUND)
    answer = call()
    if deadline.over():
        raise deadline.failure(answer.status_code)
    return answer


def asked_to_come_again(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["code"] == "STORE_UNAVAILABLE"
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("file", ["sessions.db", "memory.db"])
def test_a_locked_database_refuses_soon_and_recovers(processes: Callable[..., ServiceProcess], file: str) -> None:
    service = processes().start()
    with service.client() as client:
        client.timeout = httpx.Timeout(HANGS)
        session = f"/sessions/{client.post('/sessions', json={'user_id': 'alice'}).json()['session_id']}"
        assert client.post(f"{session}/observe", json={"strings": ["a", "b"]}).status_code == 200
        with locked(service.data_dir / file):
            asked_to_come_again(soon(lambda: client.post(f"{session}/learn")))
            assert soon(lambda: client.get("/livez")).status_code == 200
            assert soon(lambda: client.get("/readyz")).status_code == 503
        if file == "memory.db":
            # The session has handed its memory over; the retry finishes that, and counts once.
            assert client.get(f"{session}/stm").json()["length"] == 0
        learned = client.post(f"{session}/learn")
        assert learned.json()["status"] == "learned", learned.text
        name = learned.json()["pattern_name"]
        answer = client.get(f"/pattern/{name}", params={"node_id": "alice"})
        assert answer.status_code == 200, answer.text
        pattern = answer.json()["pattern"]["pattern"]
        assert pattern["frequency"] == 1


def test_reads_go_on_while_the_sessions_are_locked(processes: Callable[..., ServiceProcess]) -> None:
    service = processes().start()
    with service.client() as client:
        client.timeout = httpx.Timeout(HANGS)
        session = f"/sessions/{client.post('/sessions', json={'user_id': 'alice'}).json()['session_id']}"
        assert client.post(f"{session}/observe", json={"strings": ["a"]}).status_code == 200
        with locked(service.data_dir / "sessions.db"):
            asked_to_come_again(soon(lambda: client.post(f"{session}/observe", json={"strings": ["b"]})))
        assert client.get(f"{session}/stm").json()["stm"] == [["a"]]
        with locked(service.data_dir / "sessions.db"):
            assert soon(lambda: client.get(f"{session}/stm")).json()["stm"] == [["a"]]
