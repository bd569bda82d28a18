"""One SQLite file and the one thread that touches it. Called by the two SQLite stores.

Jobs that wait at the same moment run in one transaction, so that many callers share one sync of the disk; a caller
hears of its job only after the commit. A job raises a `KatoError` before its first write or not at all.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from kato_service.processor.errors import StoreDamaged, StoreUnavailable, UnsupportedSchema
from kato_service.processor.ports import StoreUsage
from kato_spec.errors import KatoError

Result = TypeVar("Result")
Job = Callable[[sqlite3.Connection], Any]

MAGIC = b"SQLite format 3\x00"
VERSION_AT = 60  # user_version in the file's header: four bytes, big-endian (sqlite.org, "Database File Format")
HEADER_BYTES = 100
BATCH = 512
OPENING_SECONDS = 5.0  # for a lock that someone else holds on the file
LOCKED_MILLISECONDS = 500  # a job waits for its own batch and the one before it, and an answer is due within 2 s


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file is to look like: the SQL that makes a new one, its version, the steps that lead to it."""

    schema: str
    version: int
    migrations: Mapping[int, str]

    def script(self, found: int) -> str:
        """Return the SQL that makes a file of version `found` one of this shape; 0 is a new file."""
        steps = [self.schema] if found == 0 else [self.migrations[step] for step in range(found + 1, self.version + 1)]
        return " ".join(steps)


class Database:
    """A file of `schema` version `version`, opened for one process. Made and used on the event loop's thread."""

    def __init__(
        self,
        path: Path,
        *,
        schema: str,
        version: int,
        synchronous: Literal["FULL", "NORMAL"],
        migrations: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        """Open or create the file. One of an older version is brought forward, all of the way or not at all.

        `migrations`: version -> the SQL that leads to it from the one before.

        Raises:
            UnsupportedSchema, StoreDamaged: and the file is left as it was.
        """
        self.path = path
        self._waiting: list[tuple[Job, asyncio.Future[Any]]] = []
        self._running: asyncio.Future[Any] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=path.stem)
        try:
            self._connection = self._thread.submit(
                _open, path, Shape(schema, version, migrations), synchronous
            ).result()
        except KatoError:
            self._thread.shutdown()
            raise

    async def run(self, job: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run `job` in the next transaction and return its result once that is committed.

        Raises:
            StoreUnavailable: the transaction failed; nothing of it was kept.
        """
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, answer))
        if self._running is None:
            self._start()
        return await answer

    def usage(self) -> StoreUsage:
        """Return how the one connection is used."""
        return StoreUsage("sqlite", 1, int(self._running is not None), len(self._waiting), 1)

    async def close(self) -> None:
        """Let everything that waits finish, then close the file."""
        while self._running is not None:
            await asyncio.wait([self._running])
            await asyncio.sleep(0)
        await asyncio.wrap_future(self._thread.submit(self._connection.close))
        self._thread.shutdown()

    def _start(self) -> None:
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._thread, self._commit, [job for job, _ in batch])
        self._running.add_done_callback(partial(self._finish, [answer for _, answer in batch]))

    def _finish(self, answers: list[asyncio.Future[Any]], done: asyncio.Future[list[Any]]) -> None:
        self._running = None
        error = done.exception()
        if isinstance(error, sqlite3.Error):
            error = StoreUnavailable(f"{self.path.name}: {error}")
        outcomes = [error] * len(answers) if error else done.result()
        for answer, outcome in zip(answers, outcomes, strict=True):
            if answer.done():
                continue
            if isinstance(outcome, BaseException):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
        if self._waiting:
            self._start()

    def _commit(self, jobs: list[Job]) -> list[Any]:
        with self._connection:  # commits at the end, rolls back when anything is raised
            self._connection.execute("BEGIN IMMEDIATE")
            return [_attempt(job, self._connection) for job in jobs]


def _attempt(job: Job, connection: sqlite3.Connection) -> Any:  # noqa: ANN401 - whatever the job answers
    try:
        return job(connection)
    except KatoError as refused:
        return refused


def _open(path: Path, shape: Shape, synchronous: str) -> sqlite3.Connection:
    _refuse(path, shape.version)
    connection = sqlite3.connect(path, OPENING_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path, shape, synchronous)
    except sqlite3.Error as error:
        connection.close()
        raise StoreDamaged(str(path), str(error), "a database file of this service, or none") from error
    except KatoError:
        connection.close()
        raise
    return connection


def _refuse(path: Path, version: int) -> None:
    """Look at the file's header only, so that a file that is not ours stays byte for byte what it is."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        raise StoreDamaged(str(path), header[: len(MAGIC)], "a database file of this service, or none")
    _check(path, int.from_bytes(header[VERSION_AT : VERSION_AT + 4], "big"), version)


def _check(path: Path, found: int, version: int) -> None:
    if found > version:
        raise UnsupportedSchema(
            f"schema version of {path}", found, f"at most {version}; start the newer service that wrote it"
        )


def _prepare(connection: sqlite3.Connection, path: Path, shape: Shape, synchronous: str) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    _check(path, found, shape.version)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    if found < shape.version:
        changes = f"{shape.script(found)} PRAGMA user_version = {shape.version};"
        connection.executescript(f"BEGIN IMMEDIATE; {changes} COMMIT;")
    connection.execute(f"PRAGMA busy_timeout = {LOCKED_MILLISECONDS}")
