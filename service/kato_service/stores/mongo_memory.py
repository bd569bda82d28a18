"""The long-term memory in one MongoDB database, shared by all replicas of a processor.

Made by the composition root for external storage. No transactions are needed (service.md, "Memory is a log"):

- `entry`: the log. Its insert is the commit point of learning; unique indexes on (node, seq) and on the operations'
  digests make it gapless and let no operation in twice. A folded entry loses its body and stays until its op ids may
  be forgotten.
- `part`: what is too long for one document of an entry, written before it. Parts that no entry names, left by a lost
  race or a crash, go with the fold that takes in their seq.
- `kb`: node -> the entry up to which it is folded, and the one that cleared it last. Its change is the commit point of
  a fold.
- `pattern`, `vector`: versions, never changed: `_id` is node, name and the entry at which it stood so. What counts is
  the newest version up to the entry that the KB is folded to. Versions that a fold has written and not committed are
  in nobody's way: what stood at an entry is the same whoever writes it, and a later fold writes it anew or finds it
  right. `body` null says that the pattern was gone (`dead`: since when). A long body goes on in the documents that
  follow by `_id`, which have a `part`.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from bson import Binary, Int64, ObjectId
from pymongo import DeleteMany, InsertOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError

from kato_service.engine.model import PatternRecord
from kato_service.processor.errors import LogCompacted, RepeatedOperation, SequenceTaken
from kato_service.processor.ports import Entry, Fold, Snapshot, StoreUsage
from kato_service.stores import codec
from kato_service.stores.mongo_link import Document, MongoLink

CHUNK = 2000  # documents in one batch
BATCH_SECONDS = 20.0  # for a batch; the heartbeat ends it sooner where MongoDB is away
NAMES = 500  # in one query
PART_BYTES = 8 * 1024 * 1024  # of a body in one document, which MongoDB limits to 16 MiB
DUPLICATE_KEY = 11000
Database = AsyncDatabase[Document]
Result = TypeVar("Result")
Write = InsertOne[Document] | DeleteMany


class MongoMemory:
    """`MemoryStore` behind a `MongoLink`, for any number of replicas."""

    copies = None  # a replica may start on any machine

    def __init__(self, link: MongoLink) -> None:
        self._link = link

    async def append(self, node: str, entry: Entry) -> None:
        """See `MemoryStore.append`."""
        folded, _ = await self._head(node, create=True)
        before = entry.seq - 1
        if folded > before or (folded < before and not await self._holds(node, before)):
            raise SequenceTaken(node, entry.seq)
        first, *rest = _parts(codec.dump_operations(entry.operations))
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
        await self._write("pattern", _pattern_versions(node, fold))
        await self._write("vector", _vector_versions(node, fold))
        change = {"folded": Int64(fold.end)} | ({"cleared": Int64(fold.end)} if fold.cleared else {})
        committed = await self._link.run(
            lambda database: database["kb"].update_one({"_id": node, "folded": fold.start}, {"$set": change})
        )
        if not committed.matched_count:
            return (await self._head(node))[0]
        await self._tidy(node, fold)
        return fold.end

    async def nodes(self) -> Sequence[str]:
        """See `MemoryStore.nodes`."""
        return sorted([document["_id"] for document in await self._all("kb", {}, ["_id"])])

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
            InsertOne({"_id": place, "node": node, "seq": Int64(seq), "body": body})
            for place, body in zip(places, rest, strict=True)
        ]
        await self._write("part", kept)
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
        after, newest = f"{_place(node)}:", ("", None)
        while True:
            query = {"_id": {"$gt": after, "$lt": f"{_place(node)};"}, "seq": {"$gte": cleared, "$lte": folded}}
            batch = await self._link.run(_reading(name, query), BATCH_SECONDS)
            chunk: list[tuple[str, bytes]] = []
            for document in batch:
                version = (document["name"], document["body"])
                if "part" in document and newest[1] is not None:
                    newest = (newest[0], newest[1] + document["body"])
                    continue
                if version[0] != newest[0] and newest[1] is not None:
                    chunk.append(newest)
                newest = version
            if len(batch) < CHUNK:
                yield chunk if newest[1] is None else [*chunk, newest]
                return
            yield chunk
            after = batch[-1]["_id"]

    async def _write(self, name: str, writes: Iterable[Write]) -> None:
        """Write in batches; a version that is there already is the same one."""
        for batch in _batches(writes):
            await self._link.run(_writing(name, batch), BATCH_SECONDS)

    async def _tidy(self, node: str, fold: Fold) -> None:
        """Remove what the fold has made superfluous. Whatever is left by a crash counts nowhere."""
        if fold.cleared:
            for name in ("pattern", "vector"):
                await self._write(name, [DeleteMany({**_of(node), "seq": {"$lt": fold.end}})])
        changed = [*(record.name for record in fold.records), *fold.deleted]
        await self._write("pattern", _outdated(node, changed, fold.end))
        forgotten = {"dead": {"$lt": fold.forget_before}, "seq": {"$lte": fold.end}}
        for dead in await self._all("pattern", {**_of(node), **forgotten}, ["name", "seq"]):
            await self._write("pattern", _outdated(node, [dead["name"]], dead["seq"]))
            await self._write("pattern", [DeleteMany({"_id": dead["_id"]})])  # not before what is older
        whole = {"node": node, "seq": {"$lte": fold.end}, "body": {"$exists": True}}
        folded = {"$set": {"at": fold.at}, "$unset": {"body": ""}}
        await self._link.run(lambda database: database["entry"].update_many(whole, folded), BATCH_SECONDS)
        parts = {"node": node, "seq": {"$lte": fold.end}}
        await self._link.run(lambda database: database["part"].delete_many(parts), BATCH_SECONDS)
        old = {"node": node, "seq": {"$lte": fold.end}, "at": {"$lt": fold.forget_before}}
        await self._link.run(lambda database: database["entry"].delete_many(old), BATCH_SECONDS)


def _digest(node: str, op_id: str) -> str:
    """Return what an operation of a node is known by in the whole database."""
    return hashlib.sha256(f"{len(node)}:{node}:{op_id}".encode()).hexdigest()[:32]


def _place(node: str) -> str:
    """Return what the ids of a node's versions begin with."""
    return hashlib.sha256(node.encode()).hexdigest()[:32]


def _id(node: str, name: str, seq: int) -> str:
    return f"{_place(node)}:{name}:{seq:016x}"


def _of(node: str) -> Document:
    return {"_id": {"$gt": f"{_place(node)}:", "$lt": f"{_place(node)};"}}


def _outdated(node: str, names: Sequence[str], seq: int) -> Iterator[Write]:
    """Remove the versions of patterns that are older than `seq`."""
    for start in range(0, len(names), NAMES):
        some = {"name": {"$in": names[start : start + NAMES]}}
        yield DeleteMany({**some, **_of(node), "seq": {"$lt": seq}})


def _parts(body: bytes) -> list[Binary]:
    """Cut a body into what fits into documents, at least one."""
    return [Binary(body[start : start + PART_BYTES]) for start in range(0, len(body) or 1, PART_BYTES)]


def _version(node: str, name: str, seq: int, body: bytes) -> Iterator[Write]:
    first, *rest = _parts(body)
    version = {"_id": _id(node, name, seq), "name": name, "seq": Int64(seq)}
    yield InsertOne(version | {"body": first})
    for number, part in enumerate(rest, 1):
        yield InsertOne(version | {"_id": f"{version['_id']}:{number:08x}", "body": part, "part": number})


def _pattern_versions(node: str, fold: Fold) -> Iterator[Write]:
    for record in fold.records:
        yield from _version(node, record.name, fold.end, codec.dump_pattern(record))
    for name in fold.deleted:
        gone = {"_id": _id(node, name, fold.end), "name": name, "seq": Int64(fold.end), "body": None}
        yield InsertOne(gone | {"dead": fold.at})


def _vector_versions(node: str, fold: Fold) -> Iterator[Write]:
    for symbol, vector in fold.vectors.items():
        yield from _version(node, symbol, fold.end, codec.dump_vector(vector))


def _batches(writes: Iterable[Write]) -> Iterator[list[Write]]:
    every = list(writes)
    for start in range(0, len(every), CHUNK):
        yield every[start : start + CHUNK]


def _reading(name: str, query: Document) -> Callable[[Database], Awaitable[list[Document]]]:
    async def read(database: Database) -> list[Document]:
        return await database[name].find(query).sort("_id").limit(CHUNK).to_list()

    return read


def _writing(name: str, batch: list[Write]) -> Callable[[Database], Awaitable[Any]]:
    async def write(database: Database) -> None:
        try:
            await database[name].bulk_write(batch, ordered=False)
        except BulkWriteError as error:
            if error.details.get("writeConcernErrors") or any(
                each["code"] != DUPLICATE_KEY for each in error.details["writeErrors"]
            ):
                raise

    return write
