"""Power loss around a checkpoint, seen by system calls: no write-ahead log is let go before what it held is synced.

`test_power_loss` is about a log that has never been moved into its database; here both databases' logs have been.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from kato_service.stores.sqlite_memory import SqliteMemory
from tests.support.refold import refold
from tests.support.service_process import ServiceProcess
from tests.support.system_calls import Event, end_traced, events, traced

CLIENTS = 8
EACH = 30
LONG = 20_000  # characters of a symbol: SQLite moves a log of 1,000 pages into its database
LEARNED = "final_learned_pattern"  # what only an answer to these calls holds
LOG_HEADER = 32  # bytes; written when a log is begun or begun anew


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Event]]]:
    """The files of a process that was killed when all its clients had been answered, and what it did."""
    directory = tmp_path_factory.mktemp("checkpoints")
    trace = directory / "trace"
    with ServiceProcess(directory, {"KATO_PROCESSOR_ID": "p1"}, before=traced(trace)).start() as service:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda number: learn(service, number), range(CLIENTS)))
        assert service.process is not None
        end_traced(service.process.pid)
        service.process.wait(60)
        yield service.data_dir, list(events(trace, LEARNED))


def learn(service: ServiceProcess, number: int) -> None:
    with service.client() as api:
        body = {"user_id": f"user-{number % 2}", "config": {"process_predictions": False}}
        session_id = api.post("/sessions", json=body).raise_for_status().json()["session_id"]
        for turn in range(EACH):
            observations = [{"strings": [f"c{number}"]}, {"strings": [f"t{turn}" + "x" * LONG]}]
            learning = {"observations": observations, "learn_at_end": True}
            api.post(f"/sessions/{session_id}/observe-sequence", json=learning).raise_for_status()


def begun_anew(happened: list[Event], name: str) -> int:
    """Check the order of writes and syncs of a database; return how often its log was begun anew.

    The log is synced before any of it is written into the database, and the database before the log is overwritten.
    """
    begun, log_synced, database_synced = 0, True, True
    for event in happened:
        if event.file == f"{name}-wal":
            if event.kind == "write" and event.end == LOG_HEADER:
                assert database_synced, f"the log of {name} is begun anew before the sync of what it held"
                begun += 1
            log_synced = event.kind == "sync"
        elif event.file == name and begun:
            if event.kind == "write":
                assert log_synced, f"{name} is written before its log is synced"
            database_synced = event.kind == "sync"
    return begun - 1


def cut(run: tuple[Path, list[Event]], name: str, directory: Path) -> Path:
    """Return a copy of a database whose log ends with the last byte that was synced since it was begun anew."""
    written = synced = 0
    for event in run[1]:
        if event.file == f"{name}-wal" and event.kind == "write":
            written = event.end if event.end == LOG_HEADER else max(written, event.end)
            synced = 0 if event.end == LOG_HEADER else synced
        elif event.file == f"{name}-wal":
            synced = written
    shutil.copy(run[0] / name, directory)
    (directory / f"{name}-wal").write_bytes((run[0] / f"{name}-wal").read_bytes()[:synced])
    return directory / name


@pytest.mark.parametrize("name", ["memory.db", "sessions.db"])
def test_a_log_is_synced_before_it_is_moved_and_begun_anew_after(run: tuple[Path, list[Event]], name: str) -> None:
    assert begun_anew(run[1], name) >= 1, "no checkpoint was seen"


def test_a_memory_cut_to_what_was_synced_holds_all_that_was_acknowledged(
    run: tuple[Path, list[Event]], tmp_path: Path
) -> None:
    memory = cut(run, "memory.db", tmp_path)
    assert sum(base.total() for base in asyncio.run(refold(SqliteMemory(memory))).values()) == CLIENTS * EACH


def test_sessions_cut_to_what_was_synced_are_whole_and_have_lost_their_last_moments_alone(
    run: tuple[Path, list[Event]], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(cut(run, "sessions.db", tmp_path))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        # Each was made long before the last checkpoint.
        assert connection.execute("SELECT count(*) FROM session").fetchone() == (CLIENTS,)


@pytest.mark.parametrize("missing", ["memory.db", "memory.db-wal"])
def test_a_sync_that_is_missing_is_seen(run: tuple[Path, list[Event]], missing: str) -> None:
    without = [event for event in run[1] if not (event.kind == "sync" and event.file == missing)]
    with pytest.raises(AssertionError, match="before"):
        begun_anew(without, "memory.db")
