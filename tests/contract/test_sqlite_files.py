"""What only files can go wrong with: reopening, a newer version, damage, a second process, durability."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from kato_service.engine.model import Learning
from kato_service.processor.errors import DataDirectoryInUse, StoreDamaged, UnsupportedSchema
from kato_service.processor.ports import Entry
from kato_service.stores.directory import DataDirectory
from kato_service.stores.sqlite_memory import SqliteMemory
from kato_service.stores.sqlite_sessions import SqliteSessions
from kato_spec.records import ParametersRecord

Opener = Callable[[Path], SqliteMemory | SqliteSessions]
OPENERS = pytest.mark.parametrize("opener", [SqliteMemory, SqliteSessions])
ENTRY = Entry(1, 1.0, (Learning("o1", "n1", (("a", "b"),)),))


async def test_memory_is_found_again(tmp_path: Path) -> None:
    store = SqliteMemory(tmp_path / "memory.db")
    await store.append("alice", ENTRY)
    await store.close()
    again = SqliteMemory(tmp_path / "memory.db")
    assert list(await again.tail("alice", 0)) == [ENTRY]
    await again.close()


async def test_sessions_are_found_again(tmp_path: Path) -> None:
    store = SqliteSessions(tmp_path / "sessions.db")
    record = ParametersRecord(uid="u", generation=3)
    await store.save_parameters(record)
    await store.close()
    again = SqliteSessions(tmp_path / "sessions.db")
    assert await again.parameters() == record
    await again.close()


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


async def test_an_append_is_synced_to_the_disk_before_it_returns(tmp_path: Path) -> None:
    store = SqliteMemory(tmp_path / "memory.db")
    assert await store.database.run(partial(pragma, name="synchronous")) == 2  # FULL
    assert await store.database.run(partial(pragma, name="journal_mode")) == "wal"
    await store.close()


@OPENERS
def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path, opener: Opener) -> None:
    path = tmp_path / "newer.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE later (x)")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UnsupportedSchema, match=r"99 is not allowed; allowed: at most \d;"):
        opener(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["newer.db"]


@OPENERS
@pytest.mark.parametrize("content", [b"not a database, but long enough to have a header" * 9, b"SQLite format 3\x00"])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, opener: Opener, content: bytes) -> None:
    path = tmp_path / "damaged.db"
    path.write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"damaged\.db"):
        opener(path)
    assert path.read_bytes() == content
    assert [found.name for found in tmp_path.iterdir()] == ["damaged.db"]


def test_a_data_directory_is_private_and_serves_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "data"
    held = DataDirectory(path)
    assert path.stat().st_mode & 0o777 == 0o700
    with pytest.raises(DataDirectoryInUse, match=r"served by process \d+"):
        DataDirectory(path)
    held.release()
    DataDirectory(path).release()
