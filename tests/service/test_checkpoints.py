"""Power loss around a checkpoint: what the write-ahead log holds is whole in the database before the log is let go.

Seen by system calls, and by databases as a power loss in the middle of a checkpoint leaves them. `test_power_loss` is
about a log that has never been moved into its database.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from kato_service.engine.model import Learning, PatternRecord
from kato_service.engine.naming import pattern_name
from kato_service.processor.errors import StoreDamaged
from kato_service.processor.ports import Entry, Fold
from kato_service.stores.sqlite_memory import SqliteMemory
from tests.support.refold import Base, refold
from tests.support.service_process import ServiceProcess
from tests.support.system_calls import Event, end_traced, events, traced

CLIENTS = 8
EACH = 30
LONG = 20_000  # characters of a symbol: SQLite moves a log of 1,000 pages into its database
LEARNED = "final_learned_pattern"  # what only an answer to these calls holds
PAGE = 4096  # bytes, of a database
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


@dataclass(frozen=True)
class Checkpoint:
    """A database before a checkpoint, the log that it moves, and the database after it."""

    before: bytes
    log: bytes
    after: bytes

    def pages(self) -> list[int]:
        """Return the numbers of the pages that the checkpoint writes, from 0."""
        places = range(0, len(self.after), PAGE)
        return [place // PAGE for place in places if self._page(place, self.before) != self._page(place, self.after)]

    def torn(self, written: list[int], half: int | None = None) -> bytes:
        """Return the database with these pages written alone, and of one more its first half."""
        found = bytearray(self.before)
        for number, size in [*((number, PAGE) for number in written), *([] if half is None else [(half, PAGE // 2)])]:
            place = number * PAGE
            found.extend(bytes(max(0, place + PAGE - len(found))))
            found[place : place + size] = self.after[place : place + size]
        return bytes(found)

    def _page(self, place: int, database: bytes) -> bytes:
        return database[place : place + PAGE]


async def learn_and_fold(store: SqliteMemory, start: int, end: int) -> None:
    """Append entries, most of them of patterns that are there already, and fold all but the last."""
    for seq in range(start + 1, end + 1):
        await store.append("alice", Entry(seq, 1.0, (learning(seq),)))
    names = {learning(seq).name: learning(seq).events for seq in range(1, end)}
    counts = {name: sum(learning(seq).name == name for seq in range(1, end)) for name in names}
    records = [PatternRecord(name, names[name], counts[name]) for name in sorted(names)]
    await store.fold("alice", Fold(max(0, start - 1), end - 1, records, frozenset(), {}, False, 1.0, 0.0))


def learning(seq: int) -> Learning:
    events = ((f"{seq % 13}" * 3000,),)
    return Learning(f"o{seq}", pattern_name(events), events)


def checkpoint(path: Path) -> Checkpoint:
    """Learn, close, and learn on; then let a close move the log."""
    log = path.with_name(f"{path.name}-wal")
    with asyncio.Runner() as runner:
        first = SqliteMemory(path)
        runner.run(learn_and_fold(first, 0, 10))
        runner.run(first.close())
        again = SqliteMemory(path)
        runner.run(learn_and_fold(again, 10, 30))
        before, moved = path.read_bytes(), log.read_bytes()
        runner.run(again.close())
    assert not log.exists()
    return Checkpoint(before, moved, path.read_bytes())


def torn_databases(found: Checkpoint) -> Iterator[bytes]:
    """Yield what may be on disk: pages written in their order up to half of one, or any of them."""
    pages, rng = found.pages(), Random(1)  # noqa: S311 - a test's choice
    assert len(pages) > 20
    for count, half in enumerate(pages):
        yield found.torn(pages[:count])
        yield found.torn(pages[:count], half)
        yield found.torn(sorted(rng.sample(pages, count)), half)
    yield found.torn(pages)


def held(path: Path, database: bytes, log: bytes) -> dict[str, Base]:
    """Return what a service finds that starts from these files."""
    path.write_bytes(database)
    path.with_name(f"{path.name}-wal").write_bytes(log)
    found = asyncio.run(refold(SqliteMemory(path)))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


def test_a_memory_torn_in_the_middle_of_a_checkpoint_opens_whole(tmp_path: Path) -> None:
    found = checkpoint(tmp_path / "memory.db")
    whole = held(tmp_path / "whole.db", found.after, b"")
    assert whole["alice"].total() == 30
    for torn in torn_databases(found):
        assert held(tmp_path / "torn.db", torn, found.log) == whole


def test_a_memory_torn_in_the_middle_of_a_checkpoint_is_lost_without_its_log(tmp_path: Path) -> None:
    found = checkpoint(tmp_path / "memory.db")
    pages = found.pages()
    with pytest.raises(StoreDamaged, match="malformed"):
        held(tmp_path / "torn.db", found.torn(pages[: len(pages) // 2]), b"")
