"""The long-term memory in one SQLite file. Made by the composition root for embedded storage.

`synchronous = FULL` on a write-ahead log: an append that has returned survives power loss (service.md, "Memory is a
log").
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

from kato_service.engine.model import PatternRecord
from kato_service.processor.errors import LogCompacted, RepeatedOperation, SequenceTaken
from kato_service.processor.ports import Entry, Fold, IndexCopies, Snapshot, StoreUsage
from kato_service.stores import codec
from kato_service.stores.pieces import PIECE, piece
from kato_service.stores.sqlite_database import Database

VERSION = 2
MIGRATIONS = {2: "ALTER TABLE kb ADD COLUMN fold_id TEXT;"}
SCHEMA = """
CREATE TABLE kb (id INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE, folded INTEGER NOT NULL DEFAULT 0, fold_id TEXT);
CREATE TABLE entry (
    kb INTEGER NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, operations BLOB NOT NULL, PRIMARY KEY (kb, seq)
) WITHOUT ROWID;
CREATE TABLE operation (
    kb INTEGER NOT NULL, op_id TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (kb, op_id)
) WITHOUT ROWID;
CREATE INDEX operation_by_age ON operation (kb, at);
CREATE INDEX operation_by_seq ON operation (kb, seq);
CREATE TABLE pattern (
    kb INTEGER NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kb, name)
) WITHOUT ROWID;
CREATE TABLE vector (
    kb INTEGER NOT NULL, symbol TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kb, symbol)
) WITHOUT ROWID;
"""
FOLD_ID_BYTES = 16  # random: a file put back from a backup never says of other patterns that they are these


class SqliteMemory:
    """`MemoryStore` in `path`; one process at a time, which the data directory's lock sees to."""

    def __init__(self, path: Path, copies: IndexCopies | None = None) -> None:
        """Open or create the file; raises as `Database` does."""
        self.copies = copies
        self.database = Database(path, schema=SCHEMA, version=VERSION, synchronous="FULL", migrations=MIGRATIONS)

    async def append(self, node: str, entry: Entry) -> None:
        """See `MemoryStore.append`."""
        body = codec.dump_operations(entry.operations)
        await self.database.run(lambda connection: _append(connection, node, entry, body))

    async def known(self, node: str, op_ids: Sequence[str]) -> frozenset[str]:
        """See `MemoryStore.known`."""
        return await self.database.run(lambda connection: _known(connection, _find(connection, node)[0], op_ids))

    async def tail(self, node: str, after: int) -> Sequence[Entry]:
        """See `MemoryStore.tail`."""
        rows = await self.database.run(lambda connection: _tail(connection, node, after))
        return tuple(Entry(seq, at, codec.load_operations(operations)) for seq, at, operations in rows)

    async def load(self, node: str) -> Snapshot:
        """See `MemoryStore.load`."""

        def head(connection: sqlite3.Connection) -> tuple[int, dict[str, tuple[float, ...]], str | None]:
            kb, folded = _find(connection, node)
            rows = connection.execute("SELECT symbol, body FROM vector WHERE kb = ?", (kb,))
            vectors = {symbol: codec.load_vector(body) for symbol, body in rows}
            (fold_id,) = connection.execute("SELECT fold_id FROM kb WHERE id = ?", (kb,)).fetchone() or (None,)
            return folded, vectors, fold_id

        seq, vectors, fold_id = await self.database.run(head)
        return Snapshot(seq, vectors, self._patterns(node, seq), fold_id)

    async def _patterns(self, node: str, seq: int) -> AsyncIterator[Sequence[PatternRecord]]:
        last = ""
        while rows := await self.database.run(partial(_chunk, node=node, seq=seq, last=last)):
            yield tuple(codec.load_pattern(body) for _, body in rows)
            last = rows[-1][0]

    async def fold(self, node: str, fold: Fold) -> int:
        """See `MemoryStore.fold`."""
        return await self.database.run(lambda connection: _fold(connection, node, fold))

    async def nodes(self) -> Sequence[str]:
        """See `MemoryStore.nodes`."""

        def job(connection: sqlite3.Connection) -> list[str]:
            return [node for (node,) in connection.execute("SELECT node FROM kb ORDER BY node")]

        return await self.database.run(job)

    def check(self) -> None:
        """See `MemoryStore.check`: a file is never away."""

    def usage(self) -> StoreUsage:
        """See `MemoryStore.usage`."""
        return self.database.usage()

    async def ping(self) -> None:
        """See `MemoryStore.ping`."""
        await self.database.run(lambda connection: None)

    async def close(self) -> None:
        """See `MemoryStore.close`."""
        await self.database.close()


def _find(connection: sqlite3.Connection, node: str) -> tuple[int, int]:
    """Return the KB's row and the entry it is folded up to; row 0, which no KB has, for an unknown node."""
    row: tuple[int, int] | None = connection.execute("SELECT id, folded FROM kb WHERE node = ?", (node,)).fetchone()
    return row or (0, 0)


def _known(connection: sqlite3.Connection, kb: int, op_ids: Sequence[str]) -> frozenset[str]:
    query = "SELECT 1 FROM operation WHERE kb = ? AND op_id = ?"
    return frozenset(op_id for op_id in op_ids if connection.execute(query, (kb, op_id)).fetchone())


def _append(connection: sqlite3.Connection, node: str, entry: Entry, body: bytes) -> None:
    kb, folded = _find(connection, node)
    last = connection.execute("SELECT max(seq) FROM entry WHERE kb = ?", (kb,)).fetchone()[0] or folded
    if entry.seq != last + 1:
        raise SequenceTaken(node, entry.seq)
    op_ids = [operation.op_id for operation in entry.operations]
    if repeated := _known(connection, kb, op_ids):
        raise RepeatedOperation(repeated)
    if not kb:
        kb = connection.execute("INSERT INTO kb (node) VALUES (?)", (node,)).lastrowid or 0
    connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", (kb, entry.seq, entry.at, body))
    connection.executemany(
        "INSERT INTO operation VALUES (?, ?, ?, ?)", [(kb, op_id, entry.seq, entry.at) for op_id in op_ids]
    )


def _tail(connection: sqlite3.Connection, node: str, after: int) -> list[tuple[int, float, bytes]]:
    kb, folded = _find(connection, node)
    if after < folded:
        raise LogCompacted(node, folded)
    query = "SELECT seq, at, operations FROM entry WHERE kb = ? AND seq > ? ORDER BY seq"
    return connection.execute(query, (kb, after)).fetchall()


def _chunk(connection: sqlite3.Connection, node: str, seq: int, last: str) -> list[tuple[str, bytes]]:
    kb, folded = _find(connection, node)
    if folded != seq:
        raise LogCompacted(node, folded)
    query = "SELECT name, body FROM pattern WHERE kb = ? AND name > ? ORDER BY name LIMIT ?"
    return piece(connection.execute(query, (kb, last, PIECE)), lambda row: len(row[1]))


def _fold(connection: sqlite3.Connection, node: str, fold: Fold) -> int:
    kb, folded = _find(connection, node)
    if folded != fold.start or not kb:
        return folded
    if fold.cleared:
        connection.execute("DELETE FROM pattern WHERE kb = ?", (kb,))
        connection.execute("DELETE FROM vector WHERE kb = ?", (kb,))
    connection.executemany("DELETE FROM pattern WHERE kb = ? AND name = ?", [(kb, name) for name in fold.deleted])
    connection.executemany(
        "INSERT OR REPLACE INTO pattern VALUES (?, ?, ?)",
        ((kb, record.name, codec.dump_pattern(record)) for record in fold.records),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO vector VALUES (?, ?, ?)",
        ((kb, symbol, codec.dump_vector(vector)) for symbol, vector in fold.vectors.items()),
    )
    fold_id = secrets.token_hex(FOLD_ID_BYTES)
    connection.execute("UPDATE kb SET folded = ?, fold_id = ? WHERE id = ?", (fold.end, fold_id, kb))
    connection.execute("DELETE FROM entry WHERE kb = ? AND seq <= ?", (kb, fold.end))
    connection.execute(
        "UPDATE operation SET at = ? WHERE kb = ? AND seq > ? AND seq <= ?", (fold.at, kb, fold.start, fold.end)
    )
    connection.execute("DELETE FROM operation WHERE kb = ? AND at < ? AND seq <= ?", (kb, fold.forget_before, fold.end))
    return fold.end
