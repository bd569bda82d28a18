"""Folds in time: short ones while much comes in, none that a stop waits for, none of what others have folded."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from kato_service.engine.model import Deletion, Events, Learning, Merging, PatternRecord
from kato_service.engine.naming import pattern_name
from kato_service.engine.oracle import OracleMatcher
from kato_service.processor import importing, knowledge
from kato_service.processor.changes import Changes
from kato_service.processor.export import export
from kato_service.processor.importing import receive, take_in
from kato_service.processor.knowledge import FOLD_AFTER, Knowledge
from kato_service.processor.library import Library
from kato_service.processor.ports import Entry, Fold, MemoryStore
from kato_service.stores.memory import VolatileMemory
from tests.support.processors import HeldClock, World

EVENTS = (("a",), ("b",), ("c",))


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def learning(op_id: str, events: Events = EVENTS) -> Learning:
    return Learning(op_id, pattern_name(events), events)


def replica(store: MemoryStore, threads: ThreadPoolExecutor) -> Knowledge:
    return Knowledge("alice", store=store, clock=HeldClock(), make=OracleMatcher, threads=threads)


class CountingMemory(VolatileMemory):
    """Notes the names of each fold; with `stuck` a fold waits for ever once it has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.folds: list[list[str]] = []
        self.stuck = False
        self.begun, self.done = asyncio.Event(), asyncio.Event()

    async def fold(self, node: str, fold: Fold) -> int:
        self.begun.set()
        if self.stuck:
            await asyncio.Event().wait()
        folded = await super().fold(node, fold)
        if folded == fold.end:
            self.folds.append([record.name for record in fold.records])
            self.done.set()
        return folded


def many(count: int) -> list[Learning]:
    return [learning(f"o{number}", ((f"s{number}",), ("x",))) for number in range(count)]


async def test_a_stop_during_a_long_fold_leaves_it_to_the_next_start() -> None:
    store = CountingMemory()
    store.stuck = True
    library = Library(store, HeldClock(), OracleMatcher, fold_seconds=0.01)
    base = await library.open("alice")
    await base.commit(many(FOLD_AFTER))
    await store.begun.wait()
    await library.close()
    assert store.folds == []
    assert len(await store.tail("alice", 0)) > 0
    store.stuck = False
    again = Library(store, HeldClock(), OracleMatcher)
    await again.load()
    assert again.patterns() == FOLD_AFTER
    await again.close()
    assert [len(names) for names in store.folds] == [FOLD_AFTER]
    assert await patterns_in(store) == FOLD_AFTER


async def patterns_in(store: MemoryStore) -> int:
    return sum([len(chunk) async for chunk in (await store.load("alice")).patterns])


async def test_a_start_folds_on_without_being_asked(threads: ThreadPoolExecutor) -> None:
    store = CountingMemory()
    for number, operation in enumerate(many(FOLD_AFTER), 1):
        await store.append("alice", Entry(number, 1.0, (operation,)))
    await replica(store, threads).load()
    await store.begun.wait()
    await store.done.wait()
    assert await patterns_in(store) == FOLD_AFTER


async def test_a_fold_that_was_cut_off_forgets_no_change(threads: ThreadPoolExecutor) -> None:
    store = CountingMemory()
    base = replica(store, threads)
    await base.commit([learning("o1")])
    store.stuck = True
    folding = asyncio.create_task(base.fold())
    await store.begun.wait()
    folding.cancel()
    await asyncio.wait([folding])
    store.stuck = False
    await base.fold()
    assert store.folds == [[pattern_name(EVENTS)]]


async def test_what_another_replica_has_folded_is_not_folded_again(threads: ThreadPoolExecutor) -> None:
    store = CountingMemory()
    writer, reader = replica(store, threads), replica(store, threads)
    await writer.commit(many(20))
    await reader.catch_up()
    await writer.fold()
    await reader.commit([learning("last")])
    await reader.fold()
    assert [len(names) for names in store.folds] == [20, 1]
    await writer.catch_up()
    await writer.fold()
    assert len(store.folds) == 2


async def folds_of_import(data: Sequence[bytes]) -> list[int]:
    """Import an export into an empty memory; return how many patterns each fold wrote."""
    store, spool = CountingMemory(), io.BytesIO()
    taker = await World(memory=store).started()
    check = await receive(pieces(data), spool, 1_000_000)
    await take_in(taker, spool, check, node=None, merge=False, key=None)
    return [len(names) for names in store.folds]


async def test_an_import_waits_for_the_folds_that_it_makes_necessary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "CHUNK_RECORDS", 10)
    giver = await World().started()
    await (await giver.library.open("alice")).commit(many(200))
    data = [chunk async for chunk in await export(giver, "alice")]
    monkeypatch.setattr(knowledge, "FOLD_AFTER", 1_000_000)
    monkeypatch.setattr(knowledge, "FOLD_BEHIND", 50)
    assert await folds_of_import(data) == [50] * 4


async def test_an_import_of_long_patterns_waits_for_folds_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "CHUNK_RECORDS", 1)
    giver = await World().started()
    long = [learning(f"o{number}", ((f"{number:010000}",),)) for number in range(40)]
    await (await giver.library.open("alice")).commit(long)
    data = [chunk async for chunk in await export(giver, "alice")]
    monkeypatch.setattr(knowledge, "FOLD_BEHIND_BYTES", 100_000)
    assert await folds_of_import(data) == [10] * 4


async def test_learnings_of_long_patterns_are_folded_by_their_bytes(threads: ThreadPoolExecutor) -> None:
    store = CountingMemory()
    base = replica(store, threads)
    symbol = "x" * (knowledge.FOLD_AFTER_BYTES // 4)
    for number in range(4):
        await base.commit([learning(f"o{number}", ((f"{number}{symbol}",),))])
    await store.done.wait()
    assert [len(names) for names in store.folds] == [4]


def test_bytes_count_as_long_as_their_entry_is_not_folded() -> None:
    first, second, both = Changes(), Changes(), Changes()
    vectors = {"VCTR|1": (1.0,) * 1000}
    record = PatternRecord("n1", EVENTS, 1, metadata={"seen": ("long" * 1000,)})
    for number, operation in enumerate((learning("o1"), Deletion("o2", "n2"), Merging("o3", (record,), vectors)), 1):
        (first if number < 3 else second).note(operation, number)
        both.note(operation, number)
    assert second.size > 12_000
    assert first.then(second) == both
    assert (both.size, both.after(2).size, both.after(3).size) == (first.size + second.size, second.size, 0)


async def pieces(data: Sequence[bytes]) -> AsyncIterator[bytes]:
    for each in data:
        yield each
