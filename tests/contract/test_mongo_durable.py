"""Every write of the long-term memory waits for a majority and its journals: what the driver sends says so."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from pymongo import monitoring

from kato_service.engine.model import Clearing, Learning, Merging, Operation, PatternRecord
from kato_service.processor.ports import Entry, Fold
from kato_service.stores.mongo_link import MongoLink
from kato_service.stores.mongo_memory import MongoMemory
from kato_spec.keys import database_name
from tests.contract.test_mongo_folds import Sent
from tests.support.stores.server import PATIENCE

WRITES = {"insert", "update", "delete", "findAndModify", "createIndexes", "bulkWrite"}
NODE = "alice"
EVENTS = (("a",), ("b",))
LEARNING = Learning("o1", "n1", EVENTS, vectors={"VCTR|1": (0.5,)})
LONG = PatternRecord("n2", (("x" * 9_000_000,), ("b",)), 1)  # longer than one document of ours


@dataclass
class Watched:
    """A store in a database of its own, and what is sent to it."""

    store: MongoMemory
    name: str
    sent: Sent

    async def append(self, seq: int, operation: Operation) -> None:
        await self.store.append(NODE, Entry(seq, 1.0, (operation,)))

    async def fold(self, start: int, *records: PatternRecord, cleared: bool = False) -> None:
        vectors = {} if cleared else LEARNING.vectors
        fold = Fold(start, start + 1, records, frozenset({"gone"}), vectors, cleared, 5.0, 6.0)
        assert await self.store.fold(NODE, fold) == start + 1

    def written(self) -> set[str]:
        """Check the write concern of each write so far, and return which there were; they count no more."""
        writes = [each for each in self.sent.commands if each[0] == self.name and each[1] in WRITES]
        self.sent.commands.clear()
        for _, kind, collection, body in writes:
            concern = body.get("writeConcern", {})
            assert (concern.get("w"), concern.get("j")) == ("majority", True), f"{kind} {collection}: {concern}"
        return {f"{kind} {collection}" for _, kind, collection, _ in writes}


@pytest.fixture
async def watched(mongo_uri: str) -> AsyncIterator[Watched]:
    sent = Sent()
    monitoring.register(sent)
    link = MongoLink(mongo_uri, name := database_name("test", os.urandom(8).hex()), PATIENCE)
    yield Watched(MongoMemory(link, sweep_after=0), name, sent)
    await link.run(lambda database: database.client.drop_database(database.name))
    await link.close()


async def test_each_write_waits_for_a_majority_and_its_journals(watched: Watched) -> None:
    await watched.append(1, LEARNING)
    first_use = {"createIndexes entry", "update schema"}
    assert watched.written() == first_use | {"update kb", "insert entry"}
    await watched.fold(0, PatternRecord("n1", EVENTS, 1))
    folding = {"insert pattern", "update kb", "update entry", "delete part", "delete entry"}
    assert watched.written() >= folding | {"insert vector"}
    await watched.append(2, Merging("o2", (LONG,)))  # an import
    assert watched.written() == {"insert part", "insert entry"}
    await watched.fold(1, PatternRecord("n1", EVENTS, 2), LONG)
    assert watched.written() >= folding | {"delete pattern"}  # a sweep takes the version before
    await watched.append(3, Clearing("o3"))
    assert watched.written() == {"insert entry"}
    await watched.fold(2, cleared=True)
    assert watched.written() >= folding | {"delete vector", "delete pattern"}
