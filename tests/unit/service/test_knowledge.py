"""One KB: group commit, replicas on one log, folding, and predictions that never see half of an entry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kato_service.engine.model import Clearing, Deletion, Events, Learning
from kato_service.engine.naming import pattern_name
from kato_service.engine.oracle import OracleMatcher
from kato_service.processor.errors import StoreUnavailable
from kato_service.processor.knowledge import Knowledge
from kato_service.processor.ports import Entry, Fold, MemoryStore
from kato_service.stores.memory import VolatileMemory
from kato_spec.parameters import Parameters
from tests.support.processors import HeldClock, HeldMatcher

EVENTS = (("a",), ("b",), ("c",))


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def learning(op_id: str, events: Events = EVENTS, vectors: dict[str, tuple[float, ...]] | None = None) -> Learning:
    return Learning(op_id, pattern_name(events), events, vectors=vectors or {})


def knowledge(store: MemoryStore, threads: ThreadPoolExecutor, clock: HeldClock | None = None) -> Knowledge:
    return Knowledge("alice", store=store, clock=clock or HeldClock(), make=OracleMatcher, threads=threads)


def frequency(base: Knowledge, events: Events = EVENTS) -> int:
    record = base.matcher.record(pattern_name(events))
    return record.frequency if record else 0


async def test_what_is_learned_at_one_moment_shares_an_entry(threads: ThreadPoolExecutor) -> None:
    store = VolatileMemory()
    base = knowledge(store, threads)
    await asyncio.gather(*(base.commit([learning(f"o{i}")]) for i in range(100)))
    entries = await store.tail("alice", 0)
    assert len(entries) < 10
    assert sum(len(entry.operations) for entry in entries) == frequency(base) == 100


async def test_an_operation_asked_for_twice_counts_once(threads: ThreadPoolExecutor) -> None:
    base = knowledge(VolatileMemory(), threads)
    await asyncio.gather(*(base.commit([learning("same"), learning(f"o{i}")]) for i in range(10)))
    await base.commit([learning("same")])
    assert frequency(base) == 11


async def test_replicas_write_one_gapless_log_and_answer_the_same_bytes(threads: ThreadPoolExecutor) -> None:
    store = VolatileMemory()
    replicas = [knowledge(store, threads) for _ in range(3)]
    await asyncio.gather(*(replicas[i % 3].commit([learning(f"o{i}")]) for i in range(90)))
    entries = await store.tail("alice", 0)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    for replica in replicas:
        await replica.reach(len(entries))
    assert [frequency(replica) for replica in replicas] == [90, 90, 90]
    answers = {(await replica.predict((("a",), ("b",)), Parameters()))[1] for replica in replicas}
    assert len(answers) == 1


async def test_folded_knowledge_loads_as_it_was(threads: ThreadPoolExecutor) -> None:
    store = VolatileMemory()
    base = knowledge(store, threads)
    await base.commit([learning("o1", vectors={"V": (1.0, 2.0)}), learning("o2"), learning("o3", (("x", "y"),))])
    await base.fold()
    await base.commit([learning("o4"), Deletion("o5", pattern_name((("x", "y"),)))])
    for _ in range(2):
        again = knowledge(store, threads)
        await again.load()
        assert (frequency(again), frequency(again, (("x", "y"),)), again.seq) == (3, 0, base.seq)
        assert dict(again.matcher.vectors()) == {"V": (1.0, 2.0)}
        assert again.matcher.totals() == base.matcher.totals()
        await base.fold()
    assert list(await store.tail("alice", base.seq)) == []


async def test_clearing_folds_too(threads: ThreadPoolExecutor) -> None:
    store = VolatileMemory()
    base = knowledge(store, threads)
    await base.commit([learning("o1", vectors={"V": (1.0,)})])
    await base.fold()
    await base.commit([Clearing("o2"), learning("o3", (("x", "y"),))])
    await base.fold()
    again = knowledge(store, threads)
    await again.load()
    assert (frequency(again), frequency(again, (("x", "y"),)), dict(again.matcher.vectors())) == (0, 1, {})


async def test_a_replica_left_behind_by_a_fold_loads_again(threads: ThreadPoolExecutor) -> None:
    store = VolatileMemory()
    ahead, behind = knowledge(store, threads), knowledge(store, threads)
    await ahead.commit([learning("o1")])
    await ahead.commit([learning("o2")])
    await ahead.fold()
    await behind.commit([learning("o3")])
    assert (frequency(behind), behind.seq) == (3, 3)
    await behind.fold()
    again = knowledge(store, threads)
    await again.load()
    assert frequency(again) == 3


async def test_two_replicas_fold_the_same_entries_once(threads: ThreadPoolExecutor) -> None:
    store = VolatileMemory()
    first, second = knowledge(store, threads), knowledge(store, threads)
    await first.commit([learning("o1")])
    await second.reach(1)
    await second.commit([learning("o2")])
    await first.fold()
    await second.fold()
    again = knowledge(store, threads)
    await again.load()
    assert frequency(again) == 2


class FailingMemory(VolatileMemory):
    """A log that refuses once, before or after it has kept the entry, and a fold that fails once."""

    def __init__(self) -> None:
        super().__init__()
        self.lose_answer = False
        self.refuse_fold = False

    async def append(self, node: str, entry: Entry) -> None:
        await super().append(node, entry)
        if self.lose_answer:
            self.lose_answer = False
            raise StoreUnavailable("the answer was lost")

    async def fold(self, node: str, fold: Fold) -> int:
        if self.refuse_fold:
            self.refuse_fold = False
            raise StoreUnavailable("away")
        return await super().fold(node, fold)


async def test_an_append_whose_answer_was_lost_is_found_and_not_doubled(threads: ThreadPoolExecutor) -> None:
    store = FailingMemory()
    base = knowledge(store, threads)
    store.lose_answer = True
    with pytest.raises(StoreUnavailable):
        await base.commit([learning("o1")])
    await base.commit([learning("o1"), learning("o2")])
    assert frequency(base) == 2
    assert [len(entry.operations) for entry in await store.tail("alice", 0)] == [1, 1]


async def test_a_fold_that_failed_forgets_no_change(threads: ThreadPoolExecutor) -> None:
    store = FailingMemory()
    base = knowledge(store, threads)
    await base.commit([learning("o1")])
    store.refuse_fold = True
    with pytest.raises(StoreUnavailable):
        await base.fold()
    await base.commit([learning("o2", (("x", "y"),))])
    await base.fold()
    again = knowledge(store, threads)
    await again.load()
    assert (frequency(again), frequency(again, (("x", "y"),))) == (1, 1)


READERS: dict[str, Callable[[Knowledge], Coroutine[Any, Any, object]]] = {
    "prediction": lambda base: base.predict(EVENTS, Parameters()),
    "listing": lambda base: base.ask(lambda matcher: matcher.names()),
    "export": lambda base: base.point_in_time(),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
async def test_nothing_is_applied_while_a_thread_reads(
    threads: ThreadPoolExecutor, read: Callable[[Knowledge], Coroutine[Any, Any, object]]
) -> None:
    base = Knowledge("alice", store=VolatileMemory(), clock=HeldClock(), make=HeldMatcher, threads=threads)
    matcher = base.matcher
    assert isinstance(matcher, HeldMatcher)
    reading = asyncio.create_task(read(base))
    await asyncio.to_thread(matcher.inside.wait, 10)
    reading.cancel()  # the thread reads on, whoever has gone away
    committing = asyncio.create_task(base.commit([learning("o1")]))
    await asyncio.wait([committing], timeout=0.05)
    assert not committing.done()
    matcher.go_on.set()
    assert await committing == 1
    assert not matcher.applied_inside


async def test_a_point_in_time_hears_of_what_waited_for_it(threads: ThreadPoolExecutor) -> None:
    base = Knowledge("alice", store=VolatileMemory(), clock=HeldClock(), make=HeldMatcher, threads=threads)
    await base.commit([learning("o1")])
    matcher = base.matcher
    assert isinstance(matcher, HeldMatcher)
    taking = asyncio.create_task(base.point_in_time())
    await asyncio.to_thread(matcher.inside.wait, 10)
    committing = asyncio.create_task(base.commit([learning("o2"), Deletion("d", learning("o1").name)]))
    matcher.go_on.set()
    point = await taking
    await committing
    assert [(record.name, record.frequency) for record in point.next(9)] == [(learning("o1").name, 1)]
    assert not matcher.names()
