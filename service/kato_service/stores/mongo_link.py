"""The way to one MongoDB database. Called by `mongo_memory`.

Writes are acknowledged by a majority and its journals, reads see only what such a write has left. Calls are bounded
and fail at once while MongoDB is away, as `remote` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern

from kato_service.processor.errors import InvalidRecord, UnsupportedSchema
from kato_service.processor.ports import StoreUsage
from kato_service.stores.remote import ANSWER_SECONDS, Remote

VERSION = 1
CONNECTIONS = 64
MAJORITY_ANSWERS = 1.5  # a primary gives signs of life when its majority is away; that is waited for so many of them
CHOSEN_ANSWERS = 2.0  # in so many the driver has chosen a server or said that there is none
Document = dict[str, Any]
Result = TypeVar("Result")


class MongoLink:
    """One database of one MongoDB, of schema version `VERSION` once it has been used."""

    def __init__(self, uri: str, database: str, seconds: float = ANSWER_SECONDS) -> None:
        """Take the connection string; nothing is asked of the server yet.

        Raises:
            InvalidRecord: it is no connection string of MongoDB.
        """
        self._uri, self._name, self._seconds = uri, database, seconds
        try:
            self._client = self._new_client()
        except (PyMongoError, ValueError) as error:  # which may quote a part of the string, a password in it
            raise InvalidRecord("mongodb_uri", "what is set", "a connection string of MongoDB") from error
        self._database: AsyncDatabase[Document] | None = None
        self._connecting = asyncio.Lock()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._remote = Remote("MongoDB", seconds, ping=self._ping, reset=self._drop, errors=(PyMongoError,))

    async def run(self, work: Callable[[AsyncDatabase[Document]], Awaitable[Result]], seconds: float = 0.0) -> Result:
        """Let `work` use the database.

        Raises:
            StoreUnavailable: as `Remote.call`.
            DuplicateKeyError: a unique index refuses the write.
            UnsupportedSchema: a newer service has written the database.
        """

        async def run() -> Result | DuplicateKeyError:
            try:
                return await self._apart(work(await self._connected()))
            except DuplicateKeyError as refused:  # an answer of the store, no trouble with it
                return refused

        outcome = await self._remote.call(run, seconds)
        if isinstance(outcome, DuplicateKeyError):
            raise outcome
        return outcome

    async def ping(self) -> None:
        """Return when a server that takes writes answers."""
        await self._remote.call(self._ping)

    def check(self) -> None:
        """Raise StoreUnavailable where it is known to be away; it is not asked."""
        self._remote.check()

    def usage(self) -> StoreUsage:
        """Return how it is used at this moment."""
        return self._remote.usage(CONNECTIONS)

    async def close(self) -> None:
        """Close every connection."""
        await self._remote.close()
        await self._client.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CHOSEN_ANSWERS * self._seconds)

    async def _connected(self) -> AsyncDatabase[Document]:
        async with self._connecting:
            if self._database is None:
                database = self._client.get_database(
                    self._name,
                    write_concern=WriteConcern(
                        w="majority", j=True, wtimeout=round(MAJORITY_ANSWERS * self._seconds * 1000)
                    ),
                    read_concern=ReadConcern("majority"),
                    read_preference=ReadPreference.PRIMARY,
                )
                await self._apart(_prepare(database))
                self._database = database
            return self._database

    async def _ping(self) -> None:
        await self._apart(self._client.admin.command("ping", read_preference=ReadPreference.PRIMARY))

    def _new_client(self) -> AsyncMongoClient[Document]:
        milliseconds = round(self._seconds * 1000)
        return AsyncMongoClient(
            self._uri,
            appname="kato",
            maxPoolSize=CONNECTIONS,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            heartbeatFrequencyMS=milliseconds,
        )

    async def _drop(self) -> None:
        """Close what is open; the next call connects anew."""
        client = self._client
        self._client, self._database = self._new_client(), None
        await self._apart(client.close())

    async def _apart(self, work: Awaitable[Result]) -> Result:
        """Return what the driver does in a task of its own; whoever is cancelled meanwhile leaves it to its end.

        Before Python 3.12 a cancelled `asyncio.wait_for`, by which the driver waits for a server to choose, may go on
        as if nothing had happened or leave the driver's lock taken for good. So a task is cancelled only when the
        driver must have chosen one, or given up.
        """
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        finally:
            if not task.done():
                asyncio.get_running_loop().call_later(CHOSEN_ANSWERS * self._seconds, task.cancel)


async def _prepare(database: AsyncDatabase[Document]) -> None:
    """Bring an empty database to schema version `VERSION`.

    Raises:
        UnsupportedSchema: it has a newer version; it has not been touched.
    """
    found = await database["schema"].find_one({"_id": "version"})
    if found is not None:
        if found["value"] > VERSION:
            field = f"schema version of database {database.name}"
            raise UnsupportedSchema(field, found["value"], f"at most {VERSION}; start the newer service that wrote it")
        return
    await database["entry"].create_index([("node", 1), ("seq", 1)], unique=True)
    await database["entry"].create_index("operations", unique=True)
    await database["schema"].update_one({"_id": "version"}, {"$setOnInsert": {"value": VERSION}}, upsert=True)
