"""Defects injected into a real process: they are loud, what can go on does, and a stop leaves nothing undone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from kato_service.stores.sqlite_memory import SqliteMemory
from tests.service.test_events_replicas import listen, new_session, of, start, until
from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess
from tests.support.stores.replicas import Replicas

ONCE = """
def failing_once(work):
    failed = []
    async def run(*given):
        if not failed:
            failed.append(True)
            raise ZeroDivisionError("injected")
        return await work(*given)
    return run
"""
ROUNDS = """
from kato_service.api import monitor
from kato_service.stores import sqlite_sessions
monitor.INTERVAL = 0.1
monitor.Monitor.collect = failing_once(monitor.Monitor.collect)
def swept_later(expire):
    # The sweep of the start is no round.
    failing, started = failing_once(expire), []
    async def run(*given):
        started.append(True)
        return await (failing if len(started) > 1 else expire)(*given)
    return run
sqlite_sessions.SqliteSessions.expire = swept_later(sqlite_sessions.SqliteSessions.expire)
"""
SAMPLING = """
from kato_service.api import monitor
monitor.Monitor.run = failing_once(monitor.Monitor.run)
"""
HEARING = """
from kato_service.processor import library
library.Library.follow = failing_once(library.Library.follow)
"""


def process_with(defect: str, directory: Path) -> ServiceProcess:
    (directory / "sitecustomize.py").write_text(ONCE + defect)
    return ServiceProcess(directory, {"PYTHONPATH": str(directory)})


def learn(api: httpx.Client, **session: object) -> None:
    made = api.post("/sessions", json={"user_id": "alice", **session}).raise_for_status().json()
    body = {"observations": [{"strings": ["a"]}, {"strings": ["b"]}], "learn_at_end": True}
    api.post(f"/sessions/{made['session_id']}/observe-sequence", json=body).raise_for_status()


def test_sweeps_and_samples_that_fail_are_told_with_their_traceback_and_go_on(tmp_path: Path) -> None:
    with process_with(ROUNDS, tmp_path).start() as service, service.client() as api:
        learn(api, ttl_seconds=1)
        eventually(lambda: api.get("/metrics").json()["sessions"]["total_deleted"] == 1, timeout=60)
        eventually(lambda: api.get("/health").json()["metrics_collected"] > 1, timeout=60)
        told = [line for line in service.lines() if line["event"].endswith("_failed")]
        assert sorted(line["event"] for line in told) == ["sample_failed", "sweep_failed"]
        for line in told:
            assert line["level"] == "error"
            assert "Traceback" in line["exception"]
            assert "ZeroDivisionError: injected" in line["exception"]
        assert service.stop() == 0


def test_a_stop_folds_the_memory_also_when_something_else_has_ended(tmp_path: Path) -> None:
    with process_with(SAMPLING, tmp_path).start() as service:
        with service.client() as api:
            learn(api)
        assert service.stop() == 1
        assert "ZeroDivisionError: injected" in service.log.read_text()
    assert asyncio.run(folded(service.data_dir / "memory.db")) == 1


def test_a_replica_that_fails_at_what_it_hears_hears_on(replicas: Replicas, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(ONCE + HEARING)
    replicas.settings["PYTHONPATH"] = str(tmp_path)
    here, there = start(replicas, 2)
    with here.client() as api, listen(there) as far:
        learn(api)
        eventually(lambda: [line for line in there.lines() if "injected" in line.get("exception", "")], timeout=60)
        session_id = new_session(api, "bob")
        until(far, of(session_id, "session.created"))


async def folded(path: Path) -> int:
    """Return the entry up to which alice's patterns in the file are folded."""
    memory = SqliteMemory(path)
    try:
        return (await memory.load("alice")).seq
    finally:
        await memory.close()
