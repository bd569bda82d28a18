"""What every `MemoryStore` promises: a gapless log, nothing counted twice, a guarded fold."""

from __future__ import annotations

import asyncio

import pytest

from kato_service.engine.model import AFFINITY_ONE, Clearing, Deletion, Learning, Merging, PatternRecord
from kato_service.processor.errors import LogCompacted, RepeatedOperation, SequenceTaken
from kato_service.processor.ports import Entry, Fold, MemoryStore

RECORD = PatternRecord(
    "n1",
    (("a", "b"), ("c",)),
    3,
    emotives=({"joy": 0.1}, {"joy": -1 / 3}),
    affinity={"joy": 10**15 * AFFINITY_ONE},
    metadata={"book": ("one", "two")},
)


MERGING = Merging("o4", (RECORD,), {"VCTR|2": (1 / 3, 5e-324)})


def learning(op_id: str, name: str = "n1") -> Learning:
    return Learning(
        op_id,
        name,
        (("a", ""), ("snow \u2603", "\U0001fae8")),
        emotives=({"joy": 1 / 3},),
        affinity={"joy": -(10**15) * AFFINITY_ONE},
        metadata={"book": ("one",)},
        vectors={"VCTR|1": (0.1, -2.0)},
        persistence=7,
    )


def entry(seq: int, *op_ids: str, at: float = 1000.0) -> Entry:
    return Entry(seq, at, tuple(learning(op_id) for op_id in op_ids))


def fold(start: int, end: int, *records: PatternRecord, at: float = 0.0, forget_before: float = 0.0) -> Fold:
    return Fold(start, end, records, frozenset(), {}, cleared=False, at=at, forget_before=forget_before)


async def patterns(memory: MemoryStore, node: str) -> list[PatternRecord]:
    return [record async for chunk in (await memory.load(node)).patterns for record in chunk]


async def test_an_unknown_node_is_empty_and_stays_unlisted(memory: MemoryStore) -> None:
    snapshot = await memory.load("nobody")
    assert (snapshot.seq, dict(snapshot.vectors), await patterns(memory, "nobody")) == (0, {}, [])
    assert list(await memory.tail("nobody", 0)) == []
    assert list(await memory.nodes()) == []


async def test_what_was_appended_comes_back_to_the_last_bit(memory: MemoryStore) -> None:
    written = Entry(1, 1700000000.25, (learning("o1"), Deletion("o2", "n9"), Clearing("o3"), MERGING))
    await memory.append("alice", written)
    assert list(await memory.tail("alice", 0)) == [written]
    assert list(await memory.tail("alice", 1)) == []


async def test_a_taken_or_skipped_seq_is_refused(memory: MemoryStore) -> None:
    await memory.append("alice", entry(1, "o1"))
    for seq in (1, 3):
        with pytest.raises(SequenceTaken):
            await memory.append("alice", entry(seq, f"again-{seq}"))
    assert [found.seq for found in await memory.tail("alice", 0)] == [1]


async def test_of_many_appends_of_one_seq_one_wins(memory: MemoryStore) -> None:
    outcomes = await asyncio.gather(
        *(memory.append("alice", entry(1, f"o{index}")) for index in range(20)), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(outcome is None or isinstance(outcome, SequenceTaken) for outcome in outcomes)


async def test_an_operation_is_never_kept_twice(memory: MemoryStore) -> None:
    await memory.append("alice", entry(1, "o1", "o2"))
    with pytest.raises(RepeatedOperation) as refused:
        await memory.append("alice", entry(2, "o2", "o3"))
    assert refused.value.op_ids == {"o2"}
    await memory.append("alice", entry(2, "o3"))
    assert [[op.op_id for op in found.operations] for found in await memory.tail("alice", 0)] == [["o1", "o2"], ["o3"]]


async def test_nodes_share_neither_seq_nor_op_ids(memory: MemoryStore) -> None:
    await memory.append("bob", entry(1, "o1"))
    await memory.append("alice", entry(1, "o1"))
    assert list(await memory.nodes()) == ["alice", "bob"]
    await memory.fold("alice", fold(0, 1, RECORD))
    assert await patterns(memory, "bob") == []


async def test_a_fold_replaces_the_entries_and_loads_as_it_was(memory: MemoryStore) -> None:
    await memory.append("alice", entry(1, "o1"))
    await memory.append("alice", entry(2, "o2"))
    vectors = {"VCTR|1": (0.1, -1 / 3)}
    folded = Fold(0, 1, (RECORD,), frozenset(), vectors, cleared=False, at=0.0, forget_before=0.0)
    assert await memory.fold("alice", folded) == 1
    snapshot = await memory.load("alice")
    assert (snapshot.seq, dict(snapshot.vectors)) == (1, vectors)
    assert await patterns(memory, "alice") == [RECORD]
    assert [found.seq for found in await memory.tail("alice", 1)] == [2]
    with pytest.raises(LogCompacted):
        await memory.tail("alice", 0)


async def test_a_fold_from_another_start_changes_nothing(memory: MemoryStore) -> None:
    await memory.append("alice", entry(1, "o1"))
    await memory.fold("alice", fold(0, 1, RECORD))
    assert await memory.fold("alice", fold(0, 1)) == 1
    assert await memory.fold("alice", fold(5, 6)) == 1
    assert await patterns(memory, "alice") == [RECORD]


async def test_a_fold_deletes_and_clears(memory: MemoryStore) -> None:
    other = PatternRecord("n2", (("x", "y"),), 1)
    await memory.append("alice", entry(1, "o1"))
    await memory.fold("alice", Fold(0, 1, (RECORD, other), frozenset(), {"VCTR|1": (1.0,)}, False, 0.0, 0.0))
    await memory.append("alice", Entry(2, 1000.0, (Deletion("o2", "n1"),)))
    await memory.fold("alice", Fold(1, 2, (), frozenset({"n1"}), {}, False, 0.0, 0.0))
    assert await patterns(memory, "alice") == [other]
    await memory.append("alice", Entry(3, 1000.0, (Clearing("o3"),)))
    await memory.fold("alice", Fold(2, 3, (RECORD,), frozenset(), {}, True, 0.0, 0.0))
    assert await patterns(memory, "alice") == [RECORD]
    assert dict((await memory.load("alice")).vectors) == {}


async def test_op_ids_outlive_their_fold_by_as_long_as_asked(memory: MemoryStore) -> None:
    await memory.append("alice", entry(1, "old", at=1000.0))
    await memory.fold("alice", fold(0, 1, RECORD, at=5000.0, forget_before=4000.0))
    await memory.append("alice", entry(2, "young", at=1000.0))
    await memory.append("alice", entry(3, "unfolded", at=1000.0))
    with pytest.raises(RepeatedOperation):
        await memory.append("alice", entry(4, "old"))
    await memory.fold("alice", fold(1, 2, RECORD, at=7000.0, forget_before=6000.0))
    for op_id in ("young", "unfolded"):
        with pytest.raises(RepeatedOperation):
            await memory.append("alice", entry(4, op_id))
    await memory.append("alice", entry(4, "old"))


async def test_loading_notices_a_fold_in_the_meantime(memory: MemoryStore) -> None:
    await memory.append("alice", entry(1, "o1"))
    await memory.fold("alice", fold(0, 1, RECORD))
    before = await memory.load("alice")
    await memory.append("alice", entry(2, "o2"))
    await memory.fold("alice", fold(1, 2, PatternRecord("n1", RECORD.events, 4)))
    try:
        found = [record async for chunk in before.patterns for record in chunk]
    except LogCompacted:
        return
    assert found == [RECORD]


async def test_a_pattern_that_was_deleted_and_learned_again_stays(memory: MemoryStore) -> None:
    again = PatternRecord("n1", RECORD.events, 1)
    steps = [
        (learning("o1"), (RECORD,), frozenset[str]()),
        (Deletion("o2", "n1"), (), frozenset({"n1"})),
        (learning("o3"), (again,), frozenset[str]()),
    ]
    for end, (operation, records, deleted) in enumerate(steps, 1):
        await memory.append("alice", Entry(end, 1000.0, (operation,)))
        await memory.fold("alice", Fold(end - 1, end, records, deleted, {}, False, 1000.0 * end, 0.0))
        assert await patterns(memory, "alice") == list(records)
    other = PatternRecord("n2", (("x", "y"),), 1)
    for end in (4, 5):
        await memory.append("alice", entry(end, f"later-{end}"))
        await memory.fold("alice", fold(end - 1, end, other, at=9000.0, forget_before=8000.0))
        assert await patterns(memory, "alice") == [again, other]


async def test_many_patterns_load_once_each(memory: MemoryStore) -> None:
    records = [PatternRecord(f"n{index:05}", (("a", "b"),), 1) for index in range(2500)]
    await memory.append("alice", entry(1, "o1"))
    await memory.fold("alice", fold(0, 1, *records))
    assert sorted(record.name for record in await patterns(memory, "alice")) == [record.name for record in records]


async def test_what_the_log_holds_is_known(memory: MemoryStore) -> None:
    assert await memory.known("alice", ("o1",)) == frozenset()
    await memory.append("alice", entry(1, "o1", "o2"))
    await memory.append("alice", entry(2, "o3"))
    assert await memory.known("alice", ("o1", "o3", "o9")) == {"o1", "o3"}
    assert await memory.known("bob", ("o1",)) == frozenset()
    await memory.fold("alice", fold(0, 2, RECORD, at=2000.0, forget_before=500.0))
    assert await memory.known("alice", ("o1", "o9")) == {"o1"}


async def test_its_use_is_told_without_asking_it(memory: MemoryStore) -> None:
    usage = memory.usage()
    assert usage.kind
    assert 0 <= usage.in_use <= usage.connections
    assert usage.waiting == 0


async def test_an_entry_a_pattern_and_what_follows_may_be_longer_than_a_document(memory: MemoryStore) -> None:
    words = tuple(f"{index:08}" * 8000 for index in range(300))  # 19 MB
    big = Learning("o1", "n1", (words, ("a",)))
    short = PatternRecord("n2", (("a",), ("b",)), 1)
    record = PatternRecord("n1", big.events, 1)
    written = [Entry(1, 1000.0, (big,)), entry(2, "o2", "o3")]
    for each in written:
        await memory.append("alice", each)
    with pytest.raises(SequenceTaken):
        await memory.append("alice", Entry(1, 1000.0, (Learning("o9", "n1", big.events),)))
    assert list(await memory.tail("alice", 0)) == written
    assert list(await memory.tail("alice", 1)) == written[1:]
    assert await memory.fold("alice", fold(0, 1, record, short)) == 1
    assert await patterns(memory, "alice") == [record, short]
    assert await memory.fold("alice", fold(1, 2, PatternRecord("n1", big.events, 2))) == 2
    assert [found.frequency for found in await patterns(memory, "alice")] == [2, 1]
    assert list(await memory.tail("alice", 2)) == []
