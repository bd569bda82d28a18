"""A start takes the index from the copy beside the memory if that is of this very fold, and passes over any other."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from kato_service.engine.model import Clearing, Learning, Matcher, Operation
from kato_service.engine.naming import pattern_name
from kato_service.engine.oracle import OracleMatcher
from kato_service.engine.rust import RustMatcher
from kato_service.processor import knowledge
from kato_service.processor.library import Library
from kato_service.processor.world import SystemClock
from kato_service.stores.index_files import IndexFiles
from kato_service.stores.sqlite_memory import SqliteMemory
from kato_spec.parameters import Parameters

VECTOR = (0.5, 0.25)


@pytest.fixture(autouse=True)
def few_are_worth_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "COPY_FROM", 2)


def learning(number: int) -> Learning:
    events = ((f"a{number}", "b"), ("snow \u2603",))
    return Learning(f"o{number}", pattern_name(events), events, vectors={"VCTR|1": VECTOR})


async def run(
    path: Path, operations: Sequence[Operation] = (), *, killed: bool = False, make: Callable[[], Matcher] = RustMatcher
) -> bytes:
    """Start on the memory in `path`, learn, end; return what alice is reminded of."""
    store = SqliteMemory(path / "memory.db", IndexFiles(path / "index"))
    library = Library(store, SystemClock(), make)
    try:
        await library.load()
        base = await library.open("alice")
        await base.commit(operations)
        assert len(base.matcher.vectors()) == min(1, base.matcher.totals().total_unique_patterns)
        _, answer = await base.predict((("a1", "b"), ("snow \u2603",)), Parameters(recall_threshold=0.1))
        if not killed:
            await library.close()
    finally:
        await store.close()
    return answer


def forget_patterns(path: Path) -> None:
    """Leave nothing in the memory that a start could read patterns from."""
    with closing(sqlite3.connect(path / "memory.db")) as connection, connection:
        connection.execute("DELETE FROM pattern")


def new_directory(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def copies(path: Path) -> list[Path]:
    return sorted((path / "index").glob("*"))


async def test_a_start_takes_the_copy_and_what_the_log_has_since(tmp_path: Path) -> None:
    learned = await run(tmp_path, [learning(1), learning(2)])
    forget_patterns(tmp_path)
    assert await run(tmp_path, killed=True) == learned
    more = await run(tmp_path, [learning(3)], killed=True)
    assert more != learned
    assert await run(tmp_path, killed=True) == more


async def test_a_stop_that_changed_nothing_writes_no_copy(tmp_path: Path) -> None:
    await run(tmp_path, [learning(1), learning(2)])
    (copy,) = copies(tmp_path)
    before = copy.stat().st_ino
    await run(tmp_path)
    assert copy.stat().st_ino == before
    await run(tmp_path, [learning(3)])
    assert copies(tmp_path) == [copy]
    assert copy.stat().st_mode & 0o777 == 0o600


async def test_a_copy_of_another_fold_is_passed_over(tmp_path: Path) -> None:
    """The file of the memory was put back from a backup, and has come to the same entry by another way since."""
    one, two = new_directory(tmp_path, "one"), tmp_path / "two"
    await run(one, [learning(1), learning(2)])
    shutil.copytree(one, two)
    await run(one, [learning(3)])
    other = await run(two, [learning(4)])
    shutil.copy(copies(one)[0], copies(two)[0])
    assert await run(two) == other


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
async def test_a_damaged_copy_is_passed_over(tmp_path: Path, damage: str) -> None:
    learned = await run(tmp_path, [learning(1), learning(2)])
    (copy,) = copies(tmp_path)
    whole = copy.read_bytes()
    middle = len(whole) // 2
    copy.write_bytes(
        {
            "cut": whole[:-1],
            "bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "empty": b"",
            "other": whole[: whole.index(b"\n") + 1] + b"another form",
        }[damage]
    )
    assert await run(tmp_path) == learned


async def test_a_copy_that_cannot_be_written_or_read_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "index").write_text("a file where the directory should be")
    learned = await run(tmp_path, [learning(1), learning(2)])
    assert await run(tmp_path) == learned


async def test_what_is_cleared_leaves_no_copy(tmp_path: Path) -> None:
    await run(tmp_path, [learning(1), learning(2)])
    await run(tmp_path, [Clearing("o9")])
    assert copies(tmp_path) == []


async def test_the_plain_matcher_keeps_and_takes_none(tmp_path: Path) -> None:
    learned = await run(tmp_path, [learning(1), learning(2)], make=OracleMatcher)
    assert copies(tmp_path) == []
    assert await run(tmp_path) == learned
    assert len(copies(tmp_path)) == 1
    assert await run(tmp_path, make=OracleMatcher) == learned
