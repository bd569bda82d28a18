"""Importing: lines that `export` wrote join the knowledge bases. Called by the API.

Everything is read, checked and counted before the first pattern is taken in. Then it goes into the log in pieces, each
named by the import's key and the file's digest: an import that a crash cuts off is finished, and not counted twice, by
asking again with the same key (spec: service.md, POST /import).
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

import orjson

from kato_service.engine import limits
from kato_service.engine.model import Merging, PatternRecord
from kato_service.engine.vectors import Vector
from kato_service.processor import transfer
from kato_service.processor.errors import InvalidExport, MemoryNotEmpty
from kato_service.processor.knowledge import Knowledge
from kato_service.processor.learn import check_dimension
from kato_service.processor.processor import Processor
from kato_spec.errors import Rejected

CHUNK_RECORDS = 500
CHUNK_BYTES = 1024 * 1024  # of lines that share one entry of the log
MAX_NODE = 1024
MOST_LEARNINGS = 2**32 - 2**24  # a pattern's frequency has 32 bits; what is learned meanwhile has room


@dataclass(slots=True)
class Counted:
    """One knowledge base of the file: what its head promises, and what was found."""

    patterns: int
    vectors: int
    found_patterns: int = 0
    found_vectors: int = 0
    last: tuple[bool, str] | None = None
    dimension: int | None = None
    greatest: int = 0  # frequency

    @property
    def whole(self) -> bool:
        """Whether all of it came."""
        return (self.patterns, self.vectors) == (self.found_patterns, self.found_vectors)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import took in, by node, and the digest that named it."""

    nodes: Mapping[str, Counted]
    sha256: str


@dataclass(slots=True)
class Check:
    """Reads a file line by line and refuses it at the first that is wrong, or at its end when that does not fit."""

    nodes: dict[str, Counted] = field(default_factory=dict)
    sha256: str = ""
    _digest: Any = field(default_factory=hashlib.sha256)
    _number: int = 0
    _open: Counted | None = None

    def line(self, raw: bytes) -> None:
        """Take in one line with its line feed."""
        self._number += 1
        line = self._parsed(raw)
        if self.sha256:
            raise self._wrong(raw, "nothing behind the line that ends the export")
        if self._number == 1:
            self._head(line)
        elif "end" in line:
            self._end(line["end"])
        elif "node" in line:
            self._begin(line)
        elif self._open and ("vector" in line or "pattern" in line):
            self._item(self._open, line)
        else:
            raise self._wrong(raw, "a line of a node, a vector of it, a pattern of it, or the end")
        self._digest.update(raw)

    def finish(self) -> None:
        """Refuse what has no end."""
        if not self.sha256:
            allowed = "an export as GET /export gives it, whole to its last line"
            raise InvalidExport("body", f"{self._number} lines without an end", allowed)

    def _parsed(self, raw: bytes) -> dict[str, Any]:
        try:
            line = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise self._wrong(raw, f"a line of JSON ({error.msg})") from error
        if not isinstance(line, dict):
            raise self._wrong(raw, "an object")
        return line

    def _head(self, line: dict[str, Any]) -> None:
        if line.get("kato_memory") != transfer.VERSION:
            raise self._wrong(line, f'the head of an export: "kato_memory": {transfer.VERSION}')

    def _begin(self, line: dict[str, Any]) -> None:
        if self._open and not self._open.whole:
            raise self._wrong(line, "the rest of the node before, whose head promises more or less than there is")
        node = limits.text(f"line {self._number}: node", line["node"])
        if not 1 <= len(node) <= MAX_NODE or node in self.nodes:
            raise self._wrong(line, f"a node that comes once, its name of 1 to {MAX_NODE} characters")
        place = f"line {self._number}: "
        patterns, vectors = (transfer.read_count(f"{place}{key}", line.get(key)) for key in ("patterns", "vectors"))
        self._open = self.nodes[node] = Counted(patterns, vectors)

    def _item(self, node: Counted, line: dict[str, Any]) -> None:
        place = f"line {self._number}: "
        if "vector" in line:
            name, vector = transfer.read_vector(place, line, node.dimension)
            node.dimension = len(vector)
            node.found_vectors += 1
        else:
            record = transfer.read_pattern(place, line)
            name, node.greatest = record.name, max(node.greatest, record.frequency)
            node.found_patterns += 1
        here = ("pattern" in line, name)
        if node.last is not None and here <= node.last:
            raise self._wrong(line, "vectors before patterns, each kind sorted by name and each name once")
        node.last = here

    def _end(self, line: object) -> None:
        found = self._digest.hexdigest()
        if not isinstance(line, dict) or line.get("sha256") != found:
            raise self._wrong(line, f"the SHA-256 of all lines before, which is {found}: the export is damaged")
        if self._open and not self._open.whole:
            raise self._wrong(line, "the rest of the last node, whose head promises more or less than there is")
        self.sha256 = found

    def _wrong(self, found: object, allowed: str) -> InvalidExport:
        return InvalidExport(f"line {self._number}", found, allowed)


async def receive(body: AsyncIterator[bytes], spool: IO[bytes], max_line_bytes: int) -> Check:
    """Write `body` to `spool`, checking each line as it comes.

    Raises:
        Rejected, VectorDimension: naming the line, what it holds and what is allowed.
    """
    check, rest = Check(), b""
    async for chunk in body:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            check.line(line + b"\n")
            spool.write(line + b"\n")
        if len(rest) > max_line_bytes:
            raise InvalidExport("body", f"a line of {len(rest)} bytes", f"lines of at most {max_line_bytes} bytes")
    if rest:
        check.line(rest)
        spool.write(rest)
    check.finish()
    return check


async def take_in(
    processor: Processor, spool: IO[bytes], check: Check, *, node: str | None, merge: bool, key: str | None
) -> Imported:
    """Let the checked lines of `spool` join; with `node` the one KB of the file joins that of this node.

    Raises:
        MemoryNotEmpty: a KB holds something already, and neither is it to `merge` nor was this import begun before.
        VectorDimension: a KB has vectors of another dimension.
        Rejected: the file holds several KBs, and a `node` is named.
        StoreUnavailable: ask again with the same key.
    """
    if node is not None and len(check.nodes) > 1:
        found = f"{node!r} for {len(check.nodes)} nodes"
        raise Rejected("node_id", found, "none, or an export of one node")
    names = {name: node or name for name in check.nodes}
    identity = hashlib.sha256(f"{key or secrets.token_hex()}:{check.sha256}".encode()).hexdigest()[:32]
    async with processor.importing:
        for name, counted in check.nodes.items():
            knowledge = await processor.library.read(names[name])
            begun = await knowledge.knows(f"import:{identity}:0")
            _check_target(knowledge, counted, merge or begun)
        pieces: dict[str, int] = {}
        for name, records, vectors in _pieces(spool):
            knowledge = await processor.library.open(names[name])
            number = pieces[name] = pieces.get(name, -1) + 1
            piece = Merging(f"import:{identity}:{number}", records, vectors)
            if number:
                await knowledge.commit((piece,))
            else:
                await _begin(knowledge, piece, partial(_check_target, knowledge, check.nodes[name], merge))
            await knowledge.keep_up()
            await asyncio.sleep(0)
    return Imported({names[name]: counted for name, counted in check.nodes.items()}, check.sha256)


async def _begin(knowledge: Knowledge, piece: Merging, check: Callable[[], None]) -> None:
    """Append the first piece if the KB passes `check` right before it: another replica may be importing or learning."""
    try:
        await knowledge.commit_if(check, piece)
    except MemoryNotEmpty:
        if not await knowledge.knows(piece.op_id):  # this very import was begun before, or is under way elsewhere
            raise


def _check_target(knowledge: Knowledge, counted: Counted, merge: bool) -> None:
    vectors, totals = knowledge.matcher.vectors(), knowledge.matcher.totals()
    held = totals.total_unique_patterns
    if (held or vectors) and not merge:
        raise MemoryNotEmpty(knowledge.node, held)
    if totals.total_pattern_frequencies + counted.greatest > MOST_LEARNINGS:
        raise Rejected("frequency", counted.greatest, f"at most {MOST_LEARNINGS} learnings in one knowledge base")
    if counted.dimension:
        check_dimension([(0.0,) * counted.dimension], vectors)


def _pieces(spool: IO[bytes]) -> Iterator[tuple[str, tuple[PatternRecord, ...], dict[str, Vector]]]:
    """Yield what shares one operation: a node, patterns of it, vectors of it."""
    node, records, vectors, size = "", list[PatternRecord](), dict[str, Vector](), 0
    spool.seek(0)
    for raw in spool:
        line = orjson.loads(raw)
        full = len(records) + len(vectors) >= CHUNK_RECORDS or size + len(raw) > CHUNK_BYTES
        if (records or vectors) and (full or "node" in line or "end" in line):
            yield node, tuple(records), vectors
            records, vectors, size = [], {}, 0
        size += len(raw)
        if "node" in line:
            node = line["node"]
        elif "vector" in line:
            symbol, values = transfer.read_vector("", line, None)
            vectors[symbol] = values
        elif "pattern" in line:
            records.append(transfer.read_pattern("", line))
