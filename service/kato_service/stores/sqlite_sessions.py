"""Sessions, answers, declarations and live parameters in one SQLite file. Made by the composition root.

`synchronous = NORMAL`: a killed process loses nothing, power loss may cost the last moments of a session but never
anything learned, which is in the other file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kato_service.processor.errors import TooManySessions
from kato_service.processor.model import Answer, Binding, Declaration, Life, Session
from kato_service.processor.ports import Page, Position, StoreUsage
from kato_service.stores import codec
from kato_service.stores.recent import RecentSessions
from kato_service.stores.sqlite_database import Database
from kato_spec.records import DeclarationRecord, ParametersRecord

VERSION = 2
BY_NODE_AND_EXPIRY = "CREATE INDEX session_by_node_and_expiry ON session (node, expires_at);"
MIGRATIONS = {2: BY_NODE_AND_EXPIRY}  # a node's sessions are counted without looking at any of them
SCHEMA = f"""
CREATE TABLE session (
    id TEXT PRIMARY KEY, node TEXT NOT NULL, version TEXT NOT NULL, created_at REAL NOT NULL,
    last_activity REAL NOT NULL, expires_at REAL NOT NULL, unsettled INTEGER NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_by_age ON session (created_at, id);
CREATE INDEX session_by_node ON session (node, created_at, id);
{BY_NODE_AND_EXPIRY}
CREATE INDEX session_by_expiry ON session (expires_at);
CREATE INDEX session_unsettled ON session (id) WHERE unsettled;
CREATE TABLE answer (
    session_id TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, body BLOB NOT NULL, expires_at REAL NOT NULL,
    PRIMARY KEY (session_id, key)
) WITHOUT ROWID;
CREATE INDEX answer_by_expiry ON answer (expires_at);
CREATE TABLE declaration (uid TEXT PRIMARY KEY, record TEXT NOT NULL, session_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE parameters (only INTEGER PRIMARY KEY CHECK (only = 1), record TEXT NOT NULL);
"""
SELECT = "SELECT body, last_activity, expires_at FROM session "
INSERT = "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
TOUCH = (
    "UPDATE session SET last_activity = max(last_activity, ?), expires_at = max(expires_at, ?)"
    " WHERE id = ? AND version = ? RETURNING last_activity, expires_at, length(body)"
)
OLDER = "AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?"
PAGE = SELECT + "WHERE expires_at > ? " + OLDER
PAGE_OF_NODE = SELECT + "WHERE expires_at > ? AND node = ? " + OLDER
COUNT = "SELECT count(*) FROM session WHERE expires_at > ?"
COUNT_OF_NODE = "SELECT count(*) FROM session WHERE expires_at > ? AND node = ?"
BINDING = "SELECT record, session_id FROM declaration WHERE uid = ?"
BINDINGS = (
    "SELECT uid, json_extract(record, '$.generation'), session_id, created_at, last_activity, expires_at,"
    " coalesce(json_array_length(CAST(body AS TEXT), '$.session.stm'), 0)"
    " FROM declaration LEFT JOIN session ON id = session_id AND expires_at > ? ORDER BY uid"
)
UNBOUND = (
    "SELECT record, session_id FROM declaration WHERE NOT EXISTS"
    " (SELECT 1 FROM session WHERE id = session_id AND expires_at > ?) ORDER BY uid"
)
Row = tuple[bytes, float, float]


class SqliteSessions:
    """`SessionStore` in `path`; one process at a time, which the data directory's lock sees to."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; raises as `Database` does."""
        self.database = Database(path, schema=SCHEMA, version=VERSION, synchronous="NORMAL", migrations=MIGRATIONS)
        self._recent = RecentSessions()

    async def create(self, session: Session, *, limit: int, now: float) -> bool:
        """See `SessionStore.create`."""
        row = _columns(session)

        def job(connection: sqlite3.Connection) -> bool:
            if limit and _count(connection, now) >= limit:
                raise TooManySessions(limit)
            connection.execute("DELETE FROM session WHERE id = ? AND expires_at <= ?", (session.id, now))
            return connection.execute(INSERT + "ON CONFLICT DO NOTHING", row).rowcount > 0

        with self._recent.access(session.id) as keep:
            created = await self.database.run(job)
            if created:
                keep(session, len(row[-1]))
        return created

    async def get(self, session_id: str) -> Session | None:
        """See `SessionStore.get`."""
        recent = self._recent.get(session_id)
        if recent is not None:
            return recent
        with self._recent.access(session_id) as keep:
            row: Row | None = await self.database.run(
                lambda connection: connection.execute(SELECT + "WHERE id = ?", (session_id,)).fetchone()
            )
            if row is None:
                return None
            found = _session(row)
            keep(found, len(row[0]))
        return found

    async def replace(self, session: Session, expected: str, answer: Answer | None = None) -> bool:
        """See `SessionStore.replace`."""
        row = _columns(session)
        query = (
            "UPDATE session SET node = ?, version = ?, created_at = ?, last_activity = ?, expires_at = ?,"
            " unsettled = ?, body = ? WHERE id = ? AND version = ?"
        )

        def job(connection: sqlite3.Connection) -> bool:
            if not connection.execute(query, (*row[1:], session.id, expected)).rowcount:
                return False
            if answer is not None:
                values = (session.id, answer.key, answer.request, answer.body, answer.expires_at)
                connection.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?)", values)
            return True

        with self._recent.access(session.id) as keep:
            replaced = await self.database.run(job)
            if replaced:
                keep(session, len(row[-1]))
        return replaced

    async def touch(self, session: Session) -> bool:
        """See `SessionStore.touch`."""
        values = (session.last_activity, session.expires_at, session.id, session.version)
        with self._recent.access(session.id) as keep:
            row = await self.database.run(lambda connection: connection.execute(TOUCH, values).fetchone())
            if row is not None:
                keep(replace(session, last_activity=row[0], expires_at=row[1]), row[2])
        return row is not None

    async def delete(self, session_id: str) -> bool:
        """See `SessionStore.delete`."""
        with self._recent.access(session_id):
            return await self.database.run(lambda connection: _delete(connection, session_id))

    async def page(self, *, node: str | None, after: Position | None, limit: int, now: float) -> Page:
        """See `SessionStore.page`."""
        place = (after.created_at, after.session_id) if after else (float("inf"), "")
        values: tuple[object, ...] = (now,) if node is None else (now, node)
        listing, counting = (PAGE, COUNT) if node is None else (PAGE_OF_NODE, COUNT_OF_NODE)

        def job(connection: sqlite3.Connection) -> tuple[list[Row], int]:
            total = connection.execute(counting, values).fetchone()[0]
            return connection.execute(listing, (*values, *place, limit)).fetchall(), total

        rows, total = await self.database.run(job)
        return Page(tuple(map(_session, rows)), total)

    async def count(self, now: float) -> int:
        """See `SessionStore.count`."""
        return await self.database.run(lambda connection: _count(connection, now))

    async def expire(self, now: float) -> Sequence[Session]:
        """See `SessionStore.expire`."""

        def job(connection: sqlite3.Connection) -> list[Row]:
            rows = connection.execute(
                "DELETE FROM session WHERE expires_at <= ? RETURNING body, last_activity, expires_at, id", (now,)
            ).fetchall()
            connection.executemany("DELETE FROM answer WHERE session_id = ?", [(row[3],) for row in rows])
            connection.execute("DELETE FROM answer WHERE expires_at <= ?", (now,))
            return [row[:3] for row in rows]

        gone = tuple(map(_session, await self.database.run(job)))
        for session in gone:
            self._recent.drop(session.id)
        return gone

    async def unsettled(self) -> Sequence[Session]:
        """See `SessionStore.unsettled`."""
        rows = await self.database.run(lambda connection: connection.execute(SELECT + "WHERE unsettled").fetchall())
        return tuple(map(_session, rows))

    async def answer(self, session_id: str, key: str) -> Answer | None:
        """See `SessionStore.answer`."""
        query = "SELECT key, request, body, expires_at FROM answer WHERE session_id = ? AND key = ?"
        row = await self.database.run(lambda connection: connection.execute(query, (session_id, key)).fetchone())
        return None if row is None else Answer(*row)

    async def declare(self, declaration: Declaration, session: Session | None, known: Declaration | None) -> bool:
        """See `SessionStore.declare`."""
        record, made = declaration.record, None if session is None else _columns(session)

        def job(connection: sqlite3.Connection) -> bool:
            row = connection.execute(BINDING, (record.uid,)).fetchone()
            if (None if row is None else _declaration(row)) != known:
                return False
            values = (record.uid, record.model_dump_json(), declaration.session_id)
            connection.execute("INSERT OR REPLACE INTO declaration VALUES (?, ?, ?)", values)
            if made is not None:
                connection.execute(INSERT, made)
            return True

        with self._recent.access(declaration.session_id) as keep:
            declared = await self.database.run(job)
            if declared and session is not None and made is not None:
                keep(session, len(made[-1]))
        return declared

    async def bindings(self, now: float) -> Sequence[Binding]:
        """See `SessionStore.bindings`."""
        rows = await self.database.run(lambda connection: connection.execute(BINDINGS, (now,)).fetchall())
        return tuple(Binding(uid, generation, session_id, _life(*life)) for uid, generation, session_id, *life in rows)

    async def declaration(self, uid: str) -> Declaration | None:
        """See `SessionStore.declaration`."""
        row = await self.database.run(lambda connection: connection.execute(BINDING, (uid,)).fetchone())
        return None if row is None else _declaration(row)

    async def unbound(self, now: float) -> Sequence[Declaration]:
        """See `SessionStore.unbound`."""
        rows = await self.database.run(lambda connection: connection.execute(UNBOUND, (now,)).fetchall())
        return tuple(map(_declaration, rows))

    async def withdraw(self, uid: str) -> bool:
        """See `SessionStore.withdraw`."""

        def job(connection: sqlite3.Connection) -> bool:
            query = "DELETE FROM declaration WHERE uid = ? RETURNING session_id"
            row = connection.execute(query, (uid,)).fetchone()
            if row is not None:
                _delete(connection, row[0])
            return row is not None

        known = await self.declaration(uid)
        if known is None:
            return False
        with self._recent.access(known.session_id):
            return await self.database.run(job)

    async def parameters(self) -> ParametersRecord | None:
        """See `SessionStore.parameters`."""
        row = await self.database.run(lambda found: found.execute("SELECT record FROM parameters").fetchone())
        return None if row is None else ParametersRecord.model_validate_json(row[0])

    async def save_parameters(self, record: ParametersRecord) -> None:
        """See `SessionStore.save_parameters`."""
        query = "INSERT OR REPLACE INTO parameters VALUES (1, ?)"
        await self.database.run(lambda connection: connection.execute(query, (record.model_dump_json(),)))

    def usage(self) -> StoreUsage:
        """See `SessionStore.usage`."""
        return self.database.usage()

    async def ping(self) -> None:
        """See `SessionStore.ping`."""
        await self.database.run(lambda connection: None)

    async def close(self) -> None:
        """See `SessionStore.close`."""
        await self.database.close()


def _columns(session: Session) -> tuple[str, str, str, float, float, float, bool, bytes]:
    unsettled = session.pending is not None and not session.pending.settled
    times = (session.created_at, session.last_activity, session.expires_at)
    return (session.id, session.node, session.version, *times, unsettled, codec.dump_session(session))


def _session(row: Row) -> Session:
    return codec.load_session(row[0], last_activity=row[1], expires_at=row[2])


def _life(created_at: float | None, last_activity: float, expires_at: float, stm_length: int) -> Life | None:
    return None if created_at is None else Life(created_at, last_activity, expires_at, stm_length)


def _declaration(row: tuple[str, str]) -> Declaration:
    return Declaration(DeclarationRecord.model_validate_json(row[0]), row[1])


def _delete(connection: sqlite3.Connection, session_id: str) -> bool:
    connection.execute("DELETE FROM answer WHERE session_id = ?", (session_id,))
    return connection.execute("DELETE FROM session WHERE id = ?", (session_id,)).rowcount > 0


def _count(connection: sqlite3.Connection, now: float) -> int:
    count: int = connection.execute(COUNT, (now,)).fetchone()[0]
    return count
