"""A fold without transactions: cut off anywhere, or raced by another replica's, the memory stays what the log says."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pymongo import AsyncMongoClient, monitoring

from kato_service.engine.model import Clearing, Deletion, Learning, PatternRecord
from kato_service.processor.errors import StoreUnavailable, UnsupportedSchema
from kato_service.processor.ports import Entry, Fold
from kato_service.stores.mongo_link import MongoLink
from kato_service.stores.mongo_memory import MongoMemory
from kato_service.stores.pieces import PIECE
from kato_spec.keys import database_name
from tests.support.stores.server import PATIENCE

NODE = "alice"
EVENTS = (("a", "b"), ("c",))


class CutOff(MongoLink):
    """A link that breaks at a chosen call, before the call or after it has had its effect."""

    left: int | None = None
    after = False

    async def run(self, work: Callable[[Any], Awaitable[Any]], seconds: float = 0.0) -> Any:  # noqa: ANN401 - as the link
        if self.left is None:
            return await super().run(work, seconds)
        self.left -= 1
        if self.left < 0:
            if self.after:
                await super().run(work, seconds)
            self.after = False
            raise StoreUnavailable("cut off")
        return await super().run(work, seconds)


class Sent(monitoring.CommandListener):
    """Notes what clients made from now on send: database, command, collection and body."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str, object, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        command = event.command
        self.commands.append((event.database_name, event.command_name, command[event.command_name], command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """What came of it is not asked."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """What came of it is not asked."""


def pattern(name: str, frequency: int = 1) -> PatternRecord:
    return PatternRecord(name, EVENTS, frequency)


def learn(op_id: str, name: str) -> Learning:
    return Learning(op_id, name, EVENTS)


LOG = [
    Entry(1, 1.0, (learn("o1", "n1"), learn("o2", "n2"), learn("o3", "n3"))),
    Entry(2, 2.0, (learn("o4", "n1"), Deletion("o5", "n2"), learn("o6", "n4"))),
    Entry(3, 3.0, (learn("o7", "n2"), learn("o8", "n1"))),
    Entry(4, 4.0, (Clearing("o9"), learn("oa", "n3"))),
]
STATES: list[dict[str, int]] = [
    {},
    {"n1": 1, "n2": 1, "n3": 1},
    {"n1": 2, "n3": 1, "n4": 1},
    {"n1": 3, "n2": 1, "n3": 1, "n4": 1},
    {"n3": 1},
]


def fold(start: int, end: int, at: float = 5.0, forget_before: float = 0.0) -> Fold:
    """Return what a replica at entry `end` writes of a KB that is folded up to `start`."""
    cleared = end == 4 > start
    touched = {op.name for entry in LOG[start:end] for op in entry.operations if not isinstance(op, Clearing)}
    touched = {"n3"} if cleared else touched
    records = [pattern(name, count) for name, count in sorted(STATES[end].items()) if name in touched]
    deleted = frozenset(touched - STATES[end].keys())
    vectors = {f"VCTR|{end}": (float(end),)}
    return Fold(start, end, records, deleted, vectors, cleared, at, forget_before)


async def state(store: MongoMemory) -> dict[str, int]:
    """Return what a replica that starts now makes of the patterns and the log behind them."""
    snapshot = await store.load(NODE)
    counts = {record.name: record.frequency async for chunk in snapshot.patterns for record in chunk}
    for entry in await store.tail(NODE, snapshot.seq):
        for operation in entry.operations:
            if isinstance(operation, Learning):
                counts[operation.name] = counts.get(operation.name, 0) + 1
            elif isinstance(operation, Deletion):
                counts.pop(operation.name, None)
            else:
                counts = {}
    return counts


async def opened(uri: str, name: str) -> tuple[CutOff, MongoMemory]:
    link = CutOff(uri, name, PATIENCE)
    store = MongoMemory(link, sweep_after=0)
    for entry in LOG:
        await store.append(NODE, entry)
    return link, store


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_fold_that_is_cut_off_anywhere_changes_nothing_that_counts(mongo_uri: str, after: bool) -> None:
    for cut in range(1, 60):
        link, store = await opened(mongo_uri, database_name("test", os.urandom(8).hex()))
        try:
            for start, end in ((0, 1), (1, 2), (2, 3), (3, 4)):
                link.left, link.after = cut, after
                try:
                    await store.fold(NODE, fold(start, end))
                except StoreUnavailable:
                    finished = False
                else:
                    finished = True
                link.left = None
                assert await state(store) == STATES[4]
                await store.fold(NODE, fold(start, end))
                assert (await store.load(NODE)).seq == end
                assert await state(store) == STATES[4]
            for entry in LOG:
                assert await store.known(NODE, [op.op_id for op in entry.operations])
        finally:
            await link.run(lambda database: database.client.drop_database(database.name))
            await store.close()
        if finished:
            return
    raise AssertionError("no fold was ever finished")


async def test_of_two_folds_from_one_start_one_counts(mongo_uri: str) -> None:
    link, store = await opened(mongo_uri, database_name("test", os.urandom(8).hex()))
    try:
        # The slower replica has written its versions, up to entry 3, and is overtaken before it commits.
        link.left = 3
        with pytest.raises(StoreUnavailable):
            await store.fold(NODE, fold(0, 3))
        link.left = None
        assert await store.fold(NODE, fold(0, 2)) == 2
        assert await store.fold(NODE, fold(0, 3)) == 2
        snapshot = await store.load(NODE)
        assert {record.name: record.frequency async for chunk in snapshot.patterns for record in chunk} == STATES[2]
        assert await store.fold(NODE, fold(2, 4)) == 4
        assert await state(store) == STATES[4]
    finally:
        await link.run(lambda database: database.client.drop_database(database.name))
        await store.close()


async def test_a_tidied_store_holds_one_version_of_each_pattern(mongo_uri: str) -> None:
    link, store = await opened(mongo_uri, database_name("test", os.urandom(8).hex()))
    try:
        for start, end in ((0, 1), (1, 2), (2, 3)):
            await store.fold(NODE, fold(start, end, at=100.0 * end, forget_before=100.0 * end - 50))
        versions = await link.run(lambda database: database["pattern"].find({}, ["name", "body"]).to_list())
        assert sorted(version["name"] for version in versions) == sorted(STATES[3])
        assert await link.run(lambda database: database["entry"].count_documents({"body": {"$exists": True}})) == 1
        assert await store.fold(NODE, fold(3, 4, at=400.0, forget_before=350.0)) == 4
        assert await link.run(lambda database: database["pattern"].count_documents({})) == 1
        assert await link.run(lambda database: database["entry"].count_documents({})) == 1
    finally:
        await link.run(lambda database: database.client.drop_database(database.name))
        await store.close()


async def test_the_versions_of_a_pattern_learned_for_ever_do_not_pile_up(mongo_uri: str) -> None:
    link = MongoLink(mongo_uri, database_name("test", os.urandom(8).hex()), PATIENCE)
    store = MongoMemory(link, sweep_after=10)
    held = []
    try:
        for end in range(1, 31):
            await store.append(NODE, Entry(end, 1.0, (learn(f"o{end}", "n1"),)))
            await store.fold(NODE, Fold(end - 1, end, [pattern("n1", end)], frozenset(), {}, False, 1.0, 0.0))
            held.append(await link.run(lambda database: database["pattern"].count_documents({})))
            assert await state(store) == {"n1": end}
        assert (max(held), held.count(1)) == (11, 3)  # one is left after every eleventh, and the first
    finally:
        await link.run(lambda database: database.client.drop_database(database.name))
        await store.close()


async def test_a_fold_costs_the_same_however_large_the_knowledge_base_is(mongo_uri: str) -> None:
    """Each command that touches versions names their ids, but for the one scan of a sweep."""
    sent = Sent()
    monitoring.register(sent)
    link = MongoLink(mongo_uri, name := database_name("test", os.urandom(8).hex()), PATIENCE)
    store = MongoMemory(link)
    records = [PatternRecord(f"n{number:05}", EVENTS, 1) for number in range(2 * PIECE)]
    try:
        for end in (1, 2, 3):
            await store.append(NODE, Entry(end, 1.0, (learn(f"o{end}", "n1"),)))
            sent.commands.clear()
            await store.fold(NODE, Fold(end - 1, end, records, frozenset(), {}, False, 1.0, 0.0))
            versions = [command for command in sent.commands if command[0] == name and command[2] == "pattern"]
            by_kind = Counter(kind for _, kind, _, _ in versions)
            assert 2 <= by_kind["insert"] <= 4  # a server may take half a batch at once
            scanned = by_kind["find"] > 0
            assert scanned == (end == 2)  # when as much has been written as a sweep waits for
            assert by_kind["delete"] <= 5 * scanned
            deleted = [each["q"] for _, kind, _, body in versions if kind == "delete" for each in body["deletes"]]
            assert all(query.keys() == {"_id"} and query["_id"].keys() == {"$in"} for query in deleted)
        assert await state(store) == {record.name: 1 for record in records}
    finally:
        await link.run(lambda database: database.client.drop_database(database.name))
        await store.close()


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(mongo_uri: str) -> None:
    name = database_name("test", os.urandom(8).hex())
    async with AsyncMongoClient[dict[str, Any]](mongo_uri) as client:
        await client[name]["schema"].insert_one({"_id": "version", "value": 99})
        store = MongoMemory(MongoLink(mongo_uri, name, PATIENCE))
        with pytest.raises(UnsupportedSchema, match="99 is not allowed; allowed: at most 1"):
            await store.append(NODE, LOG[0])
        await store.close()
        assert await client[name].list_collection_names() == ["schema"]
        await client.drop_database(name)
