"""Exporting and importing a memory: exact, whole or not at all, and counted once."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_service.engine.fold import merged
from kato_service.engine.limits import VectorDimension
from kato_service.engine.matcher import new_matcher
from kato_service.engine.model import Clearing, Deletion, Learning, Matcher, Merging, PatternRecord
from kato_service.engine.naming import pattern_name
from kato_service.engine.oracle import OracleMatcher
from kato_service.processor import importing
from kato_service.processor.errors import InvalidExport, MemoryNotEmpty, StoreUnavailable
from kato_service.processor.export import export
from kato_service.processor.importing import Imported, receive, take_in
from kato_service.processor.point_in_time import PointInTime
from kato_service.processor.ports import Entry
from kato_service.processor.processor import Processor
from kato_service.stores.memory import VolatileMemory
from kato_spec.errors import Rejected
from kato_spec.parameters import Parameters
from tests.support.processors import World

JOY = {"joy": 0.1}


def learning(op_id: str, *symbols: str, emotives: Sequence[dict[str, float]] = (JOY,), **more: Any) -> Learning:  # noqa: ANN401 - fields
    events = tuple((symbol,) for symbol in symbols)
    affinity = {name: round(value * 2**32) for each in emotives for name, value in each.items()}
    return Learning(op_id, pattern_name(events), events, tuple(emotives), affinity, **more)


async def taught(processor: Processor, node: str, *operations: Learning) -> None:
    await (await processor.library.open(node)).commit(operations)


async def exported(processor: Processor, node: str | None = None) -> bytes:
    return b"".join([chunk async for chunk in await export(processor, node)])


async def chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def imported(
    processor: Processor, data: bytes, *, node: str | None = None, merge: bool = False, key: str | None = None
) -> Imported:
    spool = io.BytesIO()
    check = await receive(chunks(data, 7), spool, 10_000)
    return await take_in(processor, spool, check, node=node, merge=merge, key=key)


async def some_memory(world: World) -> Processor:
    processor = await world.started()
    await taught(processor, "bob", learning("1", "\u2603", "\U0001fae8"), learning("2", "\u2603", "\U0001fae8"))
    vectors = {"VCTR|1": (0.1, -1 / 3), "VCTR|0": (1e15, 5e-324)}
    extremes = ({"joy": 1e15}, {"sorrow": -5e-324})
    await taught(
        processor,
        "alice",
        learning("1", "a", "b", vectors=vectors, metadata={"book": ("one",)}),
        learning("2", "a", "b", emotives=extremes, metadata={"book": ("two",), "": ("",)}),
        learning("3", "c", "", "d"),
    )
    return processor


async def test_what_was_exported_comes_back_to_the_byte() -> None:
    first = await some_memory(World())
    data = await exported(first)
    assert data == await exported(first)
    second = await World().started()
    found = await imported(second, data)
    assert {node: counted.patterns for node, counted in found.nodes.items()} == {"alice": 2, "bob": 1}
    assert await exported(second) == data
    stm = (("a",), ("b",))
    answers = [
        (await (await each.library.read("alice")).predict(stm, Parameters(affinity_emotive="joy")))[1]
        for each in (first, second)
    ]
    assert answers[0] == answers[1]


async def test_an_import_outlives_the_process_and_its_fold() -> None:
    world = World()
    data = await exported(await some_memory(World()))
    await imported(await world.started(), data)
    again = await world.started()
    assert await exported(again) == data
    for base in again.library.bases().values():
        await base.fold()
    assert await exported(await world.started()) == data


async def test_merging_adds_exactly() -> None:
    processor = await some_memory(World())
    data = await exported(processor, "alice")
    with pytest.raises(MemoryNotEmpty, match="this one has 2 patterns"):
        await imported(processor, data)
    before = (await processor.library.read("alice")).matcher.totals()
    await imported(processor, data, merge=True)
    matcher = (await processor.library.read("alice")).matcher
    assert matcher.totals().total_unique_patterns == before.total_unique_patterns
    assert matcher.totals().total_pattern_frequencies == 2 * before.total_pattern_frequencies
    assert matcher.totals().total_symbol_frequencies == 2 * before.total_symbol_frequencies
    record = matcher.record(pattern_name((("a",), ("b",))))
    assert record is not None
    assert (record.frequency, record.metadata) == (4, {"": ("",), "book": ("one", "two")})
    assert record.affinity["joy"] == 2 * (round(0.1 * 2**32) + round(1e15 * 2**32))
    assert len(record.emotives) == 3


async def test_one_node_s_memory_may_become_another_s() -> None:
    processor = await some_memory(World())
    await imported(processor, await exported(processor, "alice"), node="carol")
    alice, carol = [(await exported(processor, node)).splitlines()[2:-1] for node in ("alice", "carol")]
    assert alice == carol
    with pytest.raises(Rejected, match="none, or an export of one node"):
        await imported(processor, await exported(processor), node="dave")


class Interrupted(VolatileMemory):
    """A memory that goes away after a number of entries."""

    left = 1000

    async def append(self, node: str, entry: Entry) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoreUnavailable("away")
        await super().append(node, entry)


async def test_an_import_that_was_cut_off_is_finished_by_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "CHUNK_RECORDS", 1)
    data = await exported(await some_memory(World()))
    store = Interrupted()
    world = World(memory=store)
    processor = await world.started()
    store.left = 2
    with pytest.raises(StoreUnavailable):
        await imported(processor, data, key="k")
    store.left = 1000
    processor = await world.started()
    assert 0 < processor.library.patterns() < 3 or await exported(processor) != data
    with pytest.raises(MemoryNotEmpty):
        await imported(processor, data, key="another")
    for _ in range(2):
        await imported(processor, data, key="k")
        assert await exported(processor) == data


async def test_a_refused_import_changes_nothing() -> None:
    processor = await some_memory(World())
    data = await exported(processor)
    lines = data.splitlines(keepends=True)
    assert json.loads(lines[-1])["end"]["patterns"] == 3
    before = await exported(processor)
    bad = {
        "nothing": b"",
        "no head": b"".join(lines[1:]),
        "cut off": b"".join(lines[:-1]),
        "a byte": data.replace(b'"frequency":2', b'"frequency":3', 1),
        "a line less": b"".join(lines[:-2] + lines[-1:]),
        "a line twice": b"".join(lines[:-1] + lines[-2:]),
        "more behind": data + lines[0],
        "no JSON": data.replace(b"{", b"", 1),
        "no object": b"[]\n" + data,
        "a blank line": b"\n" + data,
    }
    for what, content in bad.items():
        with pytest.raises(InvalidExport) as caught:
            await imported(processor, content, merge=True)
        assert caught.value.allowed, what
        assert await exported(processor) == before, what


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({"pattern": "A" * 40, "events": [["a"]], "frequency": 1}, "line 3: pattern"),
        ({"pattern": "a" * 40, "events": [], "frequency": 1}, "line 3: events"),
        ({"pattern": "a" * 40, "events": [[]], "frequency": 1}, "line 3: events"),
        ({"pattern": "a" * 40, "events": [["a", 1]], "frequency": 1}, "line 3: events[0][1]"),
        ({"pattern": "a" * 40, "events": [["a"]], "frequency": 0}, "line 3: frequency"),
        ({"pattern": "a" * 40, "events": [["a"]], "frequency": True}, "line 3: frequency"),
        ({"pattern": "a" * 40, "events": [["a"]], "frequency": 2**31 + 1}, "line 3: frequency"),
        ({"pattern": "a" * 40, "events": [["a"]], "frequency": 1, "affinity": {"j": 1}}, "line 3: affinity.j"),
        ({"pattern": "a" * 40, "events": [["a"]], "frequency": 1, "affinity": {"j": "9" * 99}}, "line 3: affinity.j"),
        ({"pattern": "a" * 40, "events": [["a"]], "frequency": 1, "emotives": {}}, "line 3: emotives"),
        ({"pattern": "a" * 40, "events": [["a"]], "frequency": 1, "emotives": [{"j": "x"}]}, "line 3: emotives[0].j"),
        ({"vector": "V", "values": []}, "line 3: values[0]"),
        ({"vector": "V"}, "line 3: values[0]"),
        ({"colour": "red"}, "line 3"),
        ({"node": "alice", "patterns": 1, "vectors": 0}, "line 3"),
        ({"end": {}}, "line 3"),
    ],
)
async def test_a_bad_line_is_named(line: dict[str, Any], field: str) -> None:
    head = [{"kato_memory": 1}, {"node": "alice", "patterns": 1, "vectors": 0}]
    data = b"".join(json.dumps(each).encode() + b"\n" for each in [*head, line])
    with pytest.raises(Rejected) as caught:
        await imported(await World().started(), data)
    assert caught.value.field == field


async def test_a_line_without_an_end_is_not_kept() -> None:
    with pytest.raises(InvalidExport, match="lines of at most 10000 bytes"):
        await receive(chunks(b"x" * 20_000, 1000), io.BytesIO(), 10_000)


async def test_vectors_of_another_dimension_stay_out() -> None:
    processor = await World().started()
    await taught(processor, "alice", learning("1", "x", "y", vectors={"VCTR|9": (1.0,)}))
    data = await exported(await some_memory(World()), "alice")
    with pytest.raises(VectorDimension):
        await imported(processor, data, merge=True)
    assert processor.library.patterns() == 1


async def test_what_is_learned_meanwhile_is_not_in_the_export() -> None:
    processor = await World().started()
    await taught(processor, "alice", *(learning(str(index), f"s{index}", "end") for index in range(600)))
    data = await exported(processor)
    stream = await export(processor)
    parts = [await anext(stream), await anext(stream), await anext(stream)]
    base = await processor.library.open("alice")
    await taught(processor, "alice", *(learning(f"again-{index}", f"s{index}", "end") for index in range(600)))
    await taught(processor, "alice", learning("new", "new", "end"))
    await base.commit([Deletion("d", sorted(base.matcher.names())[550]), Clearing("c")])
    await base.fold()
    parts += [chunk async for chunk in stream]
    assert b"".join(parts) == data


RECORDS = st.builds(
    PatternRecord,
    st.sampled_from(["a" * 40, "b" * 40]),
    st.just((("x",), ("y",))),
    st.integers(1, 9),
    emotives=st.lists(st.dictionaries(st.sampled_from("jk"), st.floats(-1, 1)), max_size=3).map(tuple),
    affinity=st.dictionaries(st.sampled_from("jk"), st.integers(-(2**40), 2**40)),
    metadata=st.dictionaries(st.sampled_from("mn"), st.sampled_from([("1",), ("1", "2")])),
)


@given(st.lists(RECORDS, max_size=4), st.lists(RECORDS, max_size=4))
def test_every_matcher_merges_alike(first: list[PatternRecord], second: list[PatternRecord]) -> None:
    matchers: list[Matcher] = [OracleMatcher(), new_matcher()]
    for matcher in matchers:
        for index, records in enumerate((first, second)):
            matcher.apply(Merging(str(index), tuple(records), {"V": (1.0, 2.0)}))
    oracle, fast = matchers
    assert list(oracle.names()) == list(fast.names())
    assert oracle.totals() == fast.totals()
    assert dict(oracle.vectors()) == dict(fast.vectors())
    for name in oracle.names():
        assert oracle.record(name) == fast.record(name)
    assert oracle.statistics() == fast.statistics()


@given(RECORDS, RECORDS)
def test_merging_loses_no_count(one: PatternRecord, other: PatternRecord) -> None:
    both = merged(one, other)
    assert both.frequency == one.frequency + other.frequency
    for emotive in {*one.affinity, *other.affinity}:
        assert both.affinity[emotive] == one.affinity.get(emotive, 0) + other.affinity.get(emotive, 0)
    assert len(both.emotives) == max(len(one.emotives), len(other.emotives))


def test_a_point_in_time_keeps_what_a_clearing_takes() -> None:
    matcher = OracleMatcher()
    for index in range(5):
        matcher.apply(learning(str(index), f"s{index}", "end"))
    point = PointInTime(matcher, matcher.names())
    first = list(point.next(2))
    point.before(Clearing("c"))
    matcher.apply(Clearing("c"))
    assert [record.name for record in [*first, *point.next(9)]] == list(point.names)
    assert not point.next(9)
