"""Files of the first schema version are opened by this one with all they hold, and brought forward as a whole."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kato_service.engine.model import AFFINITY_ONE, Clearing, Deletion, Learning, PatternRecord
from kato_service.engine.naming import pattern_name
from kato_service.processor.errors import RepeatedOperation, StoreDamaged
from kato_service.processor.model import Answer, Observation, Pending, Percept
from kato_service.processor.ports import Entry
from kato_service.stores import sqlite_memory, sqlite_sessions
from kato_service.stores.sqlite_database import Database
from kato_service.stores.sqlite_memory import SqliteMemory
from kato_service.stores.sqlite_sessions import SqliteSessions
from tests.support.service_process import ServiceProcess

FIRST = Path(__file__).parent / "files" / "version-1"  # written by the service when its schema versions were 1
NOW = 1_700_000_000.0
EVENTS = (("a", "b"), ("snow \u2603",))
NAME = pattern_name(EVENTS)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIRST, tmp_path / "data"))


def look(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def schema(path: Path) -> list[tuple[object, ...]]:
    return look(path, "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")


async def test_the_memory_of_the_first_version(files: Path) -> None:
    store = SqliteMemory(files / "memory.db")
    assert list(await store.nodes()) == ["alice", "bob"]
    snapshot = await store.load("alice")
    affinity = {"joy": 10**15 * AFFINITY_ONE}
    record = PatternRecord(NAME, EVENTS, 1, ({"joy": 1 / 3},), affinity, {"book": ("one",)})
    assert [each async for chunk in snapshot.patterns for each in chunk] == [record]
    assert (snapshot.seq, dict(snapshot.vectors)) == (1, {"VCTR|1": (0.1, -2.0)})
    assert list(await store.tail("alice", 1)) == [
        Entry(2, 1001.0, (Learning("o2", NAME, EVENTS), Deletion("o3", "0" * 40)))
    ]
    assert list(await store.tail("bob", 0)) == [Entry(1, 1002.0, (Clearing("o1"),))]
    with pytest.raises(RepeatedOperation):
        await store.append("alice", Entry(3, 1003.0, (Clearing("o1"),)))
    await store.close()


async def test_the_sessions_of_the_first_version(files: Path) -> None:
    store = SqliteSessions(files / "sessions.db")
    page = await store.page(node=None, after=None, limit=10, now=NOW)
    full, plain = page.sessions
    assert (plain.id, plain.version, plain.time, plain.expires_at) == ("p.plain", "v2", 1, NOW + 60.0)
    assert (full.id, full.node, full.stm, full.seq, full.quiet) == ("p.full", "bob", (("a", ""), ("b",)), 41, 2)
    observation = Observation(("a",), ((0.5,),), {"joy": 1.0}, {"book": ("one",)}, "u")
    assert full.percept == Percept(observation, 7)
    assert full.pending == Pending("me", (Learning("p1", NAME, EVENTS), Clearing("p2")), learned=NAME)
    assert await store.answer("p.plain", "k") == Answer("k", "r", b"{}", NOW + 86400)
    assert [each.generation for each in await store.bindings(NOW)] == [3]
    parameters = await store.parameters()
    assert parameters is not None
    assert parameters.parameters == {"recall_threshold": 0.5}
    await store.close()


@pytest.mark.parametrize("name", ["memory.db", "sessions.db"])
async def test_a_file_brought_forward_looks_like_a_new_one(files: Path, tmp_path: Path, name: str) -> None:
    version = {"memory.db": sqlite_memory.VERSION, "sessions.db": sqlite_sessions.VERSION}[name]
    for path in (files / name, tmp_path / name):
        store = SqliteMemory(path) if name == "memory.db" else SqliteSessions(path)
        await store.close()
        assert look(path, "PRAGMA user_version") == [(version,)]
    assert schema(files / name) == schema(tmp_path / name)


def test_a_migration_that_fails_leaves_the_file_as_it_was(files: Path) -> None:
    path = files / "sessions.db"
    before = schema(path)
    steps = {2: "CREATE TABLE new (x);", 3: "INSERT INTO missing VALUES (1);"}
    with pytest.raises(StoreDamaged, match="missing"):
        Database(path, schema="", version=3, synchronous="FULL", migrations=steps)
    assert look(path, "PRAGMA user_version") == [(1,)]
    assert schema(path) == before


@pytest.fixture
def service(files: Path) -> Iterator[ServiceProcess]:
    with ServiceProcess(files.parent, {"KATO_PROCESSOR_ID": "p"}).start() as running:
        yield running


def test_the_service_starts_on_files_of_the_first_version_and_finishes_what_they_have_pending(
    service: ServiceProcess,
) -> None:
    with service.client() as api:
        assert api.get(f"/pattern/{NAME}", params={"node_id": "alice"}).json()["pattern"]["pattern"]["frequency"] == 2
        assert api.get("/patterns", params={"node_id": "bob"}).json()["total"] == 0  # cleared by what was pending
        assert api.get("/readyz").status_code == 200
