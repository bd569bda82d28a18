"""The long-term memory in one MongoDB database, shared by all replicas of a processor.

Made by the composition root for external storage. No transactions are needed (service.md, "Memory is a log"):

- `entry`: the log. Its insert is the commit point of learning; unique indexes on (node, seq) and on the operations'
  digests make it gapless and let no operation in twice. A folded entry loses its body and stays until its op ids may
  be forgotten.
- `part`: what is too long for one document of an entry, written before it. Parts that no entry names, left by a lost
  race or a crash, go with the fold that takes in their seq.
- `kb`: node -> the entry up to which it is folded, and the one that cleared it last. Its change is the commit point of
  a fold. `written` counts the versions since the last sweep, `kept` those that it left.
- `pattern`, `vector`: versions, as `mongo_versions` says. What counts is the newest one up to the entry that the KB is
  folded to. Versions that a fold has written and not committed are in nobody's way: what stood at an entry is the same
  whoever writes it, and a later fold writes it anew or finds it right. `body` null says that the pattern was gone
  (`dead`: since when).

A fold only adds versions; it never looks for those that they replace. These are swept away when there may be as many
of them as count, so that a version costs the same however large the KB is.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from bson import Binary, Int64, ObjectId
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError

from kato_service.engine.model import PatternRecord
from kato_service.processor.errors import LogCompacted, RepeatedOperation, SequenceTaken
from kato_service.processor.ports import Entry, Fold, Snapshot, StoreUsage
from kato_service.stores import codec, mongo_versions
from kato_service.stores.mongo_link import MongoLink
from kato_service.stores.mongo_versions import Document, Newest, Sweep
from kato_service.stores.pieces import PIECE, PIECE_BYTES, piece

SENT = 250  # documents of a cursor in one message, which MongoDB limits to 16 MiB as well
BATCH_SECONDS = 20.0  # for a batch; the heartbeat ends it sooner where MongoDB is away
SCAN_SECONDS = 300.0  # until the first versions of a whole KB come, as above
SWEEP_AFTER = 2 * PIECE  # versions
DUPLICATE_KEY = 11000
Database = AsyncDatabase[Document]


class MongoMemory:
    """`MemoryStore` behind a `MongoLink`, for any number of replicas. No sweep for up to `sweep_after` versions."""

    copies = None  # a replica may start on any machine

    def __init__(self, link: MongoLink, sweep_after: int = SWEEP_AFTER) -> None:
        self._link, self._sweep_after = link, sweep_after

    async def append(self, node: str, entry: Entry) -> None:
        """See `MemoryStore.append`."""
        folded, _ = await self._head(node, create=True)
        before = entry.seq - 1
        if folded > before or (folded < before and not await self._holds(node, before)):
            raise SequenceTaken(node, entry.seq)
        first, *rest = mongo_versions.parts(codec.dump_operations(entry.operations))
        document = {
            "node": node,
            "seq": Int64(entry.seq),
            "at": entry.at,
            "operations": [_digest(node, operation.op_id) for operation in entry.operations],
            "body": first,
        }
        if rest:
            document["parts"] = await self._keep_parts(node, entry.seq, rest)
        try:
            seconds = BATCH_SECONDS if rest else 0.0
            await self._link.run(lambda database: database["entry"].insert_one(document), seconds)
        except DuplicateKeyError as refused:
            repeated = await self.known(node, [operation.op_id for operation in entry.operations])
            raise RepeatedOperation(repeated) if repeated else SequenceTaken(node, entry.seq) from refused

    async def known(self, node: str, op_ids: Sequence[str]) -> frozenset[str]:
        """Return those of `op_ids` that the log holds, or held within the last 24 hours."""
        digests = {_digest(node, op_id): op_id for op_id in op_ids}
        found = await self._all("entry", {"operations": {"$in": list(digests)}}, ["operations"])
        return frozenset(digests[each] for document in found for each in document["operations"] if each in digests)

    async def tail(self, node: str, after: int) -> Sequence[Entry]:
        """See `MemoryStore.tail`."""
        query = {"node": node, "seq": {"$gt": after}}
        found = await self._all("entry", query, ["seq", "at", "body", "parts"], sort="seq")
        bodies = [await self._whole(document) for document in found]
        folded, _ = await self._head(node)  # read after the entries: none of them was folded away before
        if folded > after:
            raise LogCompacted(node, folded)
        return tuple(
            Entry(document["seq"], document["at"], codec.load_operations(body))
            for seq, (document, body) in enumerate(zip(found, bodies, strict=True), after + 1)
            if document["seq"] == seq
        )

    async def load(self, node: str) -> Snapshot:
        """See `MemoryStore.load`."""
        folded, cleared = await self._head(node)
        vectors = {
            name: codec.load_vector(body)
            async for chunk in self._versions("vector", node, cleared, folded)
            for name, body in chunk
        }
        return Snapshot(folded, vectors, self._patterns(node, cleared, folded))

    async def fold(self, node: str, fold: Fold) -> int:
        """See `MemoryStore.fold`."""
        folded, _ = await self._head(node)
        if folded != fold.start:
            return folded
        written = await self._write("pattern", mongo_versions.patterns_of(node, fold))
        written += await self._write("vector", mongo_versions.vectors_of(node, fold))
        change = {"folded": Int64(fold.end)} | ({"cleared": Int64(fold.end), "kept": Int64(0)} if fold.cleared else {})
        update = {"$set": change, "$inc": {"written": Int64(written)}}
        committed = await self._link.run(
            lambda database: database["kb"].update_one({"_id": node, "folded": fold.start}, update)
        )
        if not committed.matched_count:
            return (await self._head(node))[0]
        await self._tidy(node, fold)
        return fold.end

    async def nodes(self) -> Sequence[str]:
        """See `MemoryStore.nodes`."""
        return sorted([document["_id"] for document in await self._all("kb", {}, ["_id"])])

    def check(self) -> None:
        """See `MemoryStore.check`."""
        self._link.check()

    def usage(self) -> StoreUsage:
        """See `MemoryStore.usage`."""
        return self._link.usage()

    async def ping(self) -> None:
        """See `MemoryStore.ping`."""
        await self._link.ping()

    async def close(self) -> None:
        """See `MemoryStore.close`."""
        await self._link.close()

    async def _head(self, node: str, *, create: bool = False) -> tuple[int, int]:
        """Return the entry up to which the KB is folded and the one that cleared it last; 0 where there is none."""
        found = await self._link.run(lambda database: database["kb"].find_one({"_id": node}))
        if found is None and create:
            new = {"$setOnInsert": {"folded": Int64(0), "cleared": Int64(0)}}
            await self._link.run(lambda database: database["kb"].update_one({"_id": node}, new, upsert=True))
        return (found["folded"], found["cleared"]) if found else (0, 0)

    async def _holds(self, node: str, seq: int) -> bool:
        query = {"node": node, "seq": seq}
        return await self._link.run(lambda database: database["entry"].find_one(query, ["_id"])) is not None

    async def _all(self, name: str, query: Document, fields: list[str], sort: str = "_id") -> list[Document]:
        async def read(database: Database) -> list[Document]:
            return await database[name].find(query, fields).sort(sort).to_list()

        return await self._link.run(read, BATCH_SECONDS)

    async def _keep_parts(self, node: str, seq: int, rest: Sequence[Binary]) -> list[ObjectId]:
        """Write what does not fit into an entry's document; return where it is."""
        places = [ObjectId() for _ in rest]
        kept = [
            {"_id": place, "node": node, "seq": Int64(seq), "body": body}
            for place, body in zip(places, rest, strict=True)
        ]
        await self._write("part", iter(kept))
        return places

    async def _whole(self, entry: Document) -> bytes:
        """Return the body of an entry, with its parts; what has been folded away meanwhile has none."""
        body: bytes = entry.get("body", b"")
        for part in entry.get("parts", ()):
            for document in await self._all("part", {"_id": part}, ["body"]):
                body += document["body"]
        return body

    async def _patterns(self, node: str, cleared: int, folded: int) -> AsyncIterator[Sequence[PatternRecord]]:
        async for chunk in self._versions("pattern", node, cleared, folded):
            yield [codec.load_pattern(body) for _, body in chunk]
        now, _ = await self._head(node)
        if now != folded:  # versions that were read for may have gone meanwhile
            raise LogCompacted(node, now)

    async def _versions(
        self, name: str, node: str, cleared: int, folded: int
    ) -> AsyncIterator[Sequence[tuple[str, bytes]]]:
        """Yield the names and bodies that count at entry `folded`, by name."""
        newest = Newest()
        async for batch in self._scan(name, {**mongo_versions.of(node), "seq": {"$gte": cleared, "$lte": folded}}):
            yield newest.take(batch)
        yield newest.rest()

    async def _scan(self, name: str, query: Document, fields: list[str] | None = None) -> AsyncIterator[list[Document]]:
        """Yield what `query` finds, by `_id` and batch by batch, from one cursor."""

        async def start(database: Database) -> tuple[AsyncCursor[Document], list[Document]]:
            cursor = database[name].find(query, fields, batch_size=SENT).sort("_id")
            return cursor, await _batch(cursor)

        cursor, batch = await self._link.run(start, SCAN_SECONDS)
        while batch:
            yield batch
            batch = await self._link.run(lambda _: _batch(cursor), BATCH_SECONDS)

    async def _write(self, name: str, documents: Iterator[Document]) -> int:
        """Insert in batches and return how many; a version that is there already is the same one.

        What goes before its first document is there before it is.
        """
        written = 0
        while batch := piece(documents, _body_bytes):
            for some in ([each for each in batch if "part" in each], [each for each in batch if "part" not in each]):
                if some:
                    await self._link.run(_inserting(name, some), BATCH_SECONDS)
            written += len(batch)
        return written

    async def _remove(self, name: str, query: Document) -> None:
        await self._link.run(lambda database: database[name].delete_many(query), BATCH_SECONDS)

    async def _tidy(self, node: str, fold: Fold) -> None:
        """Remove what the fold has made superfluous. Whatever is left by a crash counts nowhere."""
        if fold.cleared:
            for name in ("pattern", "vector"):
                await self._remove(name, {**mongo_versions.of(node), "seq": {"$lt": fold.end}})
        await self._sweep_when_due(node, fold)
        whole = {"node": node, "seq": {"$lte": fold.end}, "body": {"$exists": True}}
        folded = {"$set": {"at": fold.at}, "$unset": {"body": ""}}
        await self._link.run(lambda database: database["entry"].update_many(whole, folded), BATCH_SECONDS)
        await self._remove("part", {"node": node, "seq": {"$lte": fold.end}})
        await self._remove("entry", {"node": node, "seq": {"$lte": fold.end}, "at": {"$lt": fold.forget_before}})

    async def _sweep_when_due(self, node: str, fold: Fold) -> None:
        """Sweep once more versions have been written than the last sweep has left."""
        kb = await self._link.run(lambda database: database["kb"].find_one({"_id": node})) or {}
        written = kb.get("written", 0)
        if written <= max(self._sweep_after, kb.get("kept", 0)):
            return
        kept = 0
        for name in ("pattern", "vector"):
            kept += await self._sweep(name, node, fold.end, Sweep(kb["cleared"], fold.forget_before))
        change = {"$set": {"kept": Int64(kept)}, "$inc": {"written": Int64(-written)}}
        await self._link.run(lambda database: database["kb"].update_one({"_id": node}, change))

    async def _sweep(self, name: str, node: str, folded: int, sweep: Sweep) -> int:
        """Remove the versions up to entry `folded` that count no more; return how many documents stay."""
        query = {**mongo_versions.of(node), "seq": {"$lte": folded}}
        async for batch in self._scan(name, query, ["name", "seq", "part", "dead"]):
            await self._remove_both(name, *sweep.take(batch))
        await self._remove_both(name, *sweep.rest())
        return sweep.kept

    async def _remove_both(self, name: str, outdated: list[str], forgotten: list[str]) -> None:
        """Remove documents by `_id`, the forgotten ones not before those that they outdate."""
        for ids in (outdated, forgotten):
            if ids:
                await self._remove(name, {"_id": {"$in": ids}})


def _digest(node: str, op_id: str) -> str:
    """Return what an operation of a node is known by in the whole database."""
    return hashlib.sha256(f"{len(node)}:{node}:{op_id}".encode()).hexdigest()[:32]


def _body_bytes(document: Document) -> int:
    return len(document.get("body") or b"")


async def _batch(cursor: AsyncCursor[Document]) -> list[Document]:
    """Return the next documents that go together, as `piece` does."""
    some, held = list[Document](), 0
    async for document in cursor:
        some.append(document)
        held += _body_bytes(document)
        if len(some) == PIECE or held >= PIECE_BYTES:
            break
    return some


def _inserting(name: str, documents: list[Document]) -> Callable[[Database], Awaitable[None]]:
    async def insert(database: Database) -> None:
        try:
            await database[name].insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if error.details.get("writeConcernErrors") or any(
                each["code"] != DUPLICATE_KEY for each in error.details["writeErrors"]
            ):
                raise

    return insert
