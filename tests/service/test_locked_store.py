"""A database that another program holds: writes are refused soon, reads of what is known go on, and it passes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.answers import asked_to_come_again, promptly
from tests.support.service_process import ServiceProcess


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock of a database, as a program that copies or repairs it would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("file", ["sessions.db", "memory.db"])
def test_a_locked_database_refuses_soon_and_recovers(processes: Callable[..., ServiceProcess], file: str) -> None:
    service = processes().start()
    with service.client() as client:
        session = f"/sessions/{client.post('/sessions', json={'user_id': 'alice'}).json()['session_id']}"
        assert client.post(f"{session}/observe", json={"strings": ["a", "b"]}).status_code == 200
        with locked(service.data_dir / file):
            asked_to_come_again(promptly(lambda: client.post(f"{session}/learn")))
            assert promptly(lambda: client.get("/livez")).status_code == 200
            assert promptly(lambda: client.get("/readyz")).status_code == 503
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
        session = f"/sessions/{client.post('/sessions', json={'user_id': 'alice'}).json()['session_id']}"
        assert client.post(f"{session}/observe", json={"strings": ["a"]}).status_code == 200
        with locked(service.data_dir / "sessions.db"):
            asked_to_come_again(promptly(lambda: client.post(f"{session}/observe", json={"strings": ["b"]})))
        assert client.get(f"{session}/stm").json()["stm"] == [["a"]]
        with locked(service.data_dir / "sessions.db"):
            assert promptly(lambda: client.get(f"{session}/stm")).json()["stm"] == [["a"]]
