"""The versions of patterns and vectors as documents of MongoDB, without any I/O. Called by `mongo_memory`.

A version stands at `seq` and is never changed; its `_id` is node, name and seq, so that by `_id` the versions of a name
come in order. A long body goes on in documents that follow by `_id` and have a `part`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from bson import Binary, Int64

from kato_service.processor.ports import Fold
from kato_service.stores import codec

PART_BYTES = 8 * 1024 * 1024  # of a body in one document, which MongoDB limits to 16 MiB
Document = dict[str, Any]


def of(node: str) -> Document:
    """Return the query for all versions of a node."""
    return {"_id": {"$gt": f"{_place(node)}:", "$lt": f"{_place(node)};"}}


def parts(body: bytes) -> list[Binary]:
    """Cut a body into what fits into documents, at least one."""
    return [Binary(body[start : start + PART_BYTES]) for start in range(0, len(body) or 1, PART_BYTES)]


def patterns_of(node: str, fold: Fold) -> Iterator[Document]:
    """Yield the versions of patterns that a fold writes, the parts of each before its first document."""
    for record in fold.records:
        yield from _version(node, record.name, fold.end, codec.dump_pattern(record))
    for name in fold.deleted:
        yield {"_id": _id(node, name, fold.end), "name": name, "seq": Int64(fold.end), "body": None, "dead": fold.at}


def vectors_of(node: str, fold: Fold) -> Iterator[Document]:
    """Yield the versions of vectors that a fold writes."""
    for symbol, vector in fold.vectors.items():
        yield from _version(node, symbol, fold.end, codec.dump_vector(vector))


class Newest:
    """Puts together what counts, from whole documents that come by `_id`."""

    def __init__(self) -> None:
        self._name, self._seq = "", 0
        self._body: bytes | None = None

    def take(self, documents: Sequence[Document]) -> list[tuple[str, bytes]]:
        """Return the names and bodies that are complete."""
        complete = []
        for document in documents:
            name, seq = document["name"], document["seq"]
            if "part" not in document:
                if name != self._name:
                    complete += self.rest()
                self._name, self._seq, self._body = name, seq, document["body"]
            elif self._body is not None and (name, seq) == (self._name, self._seq):
                self._body += document["body"]
        return complete

    def rest(self) -> list[tuple[str, bytes]]:
        """Return the last of all."""
        return [] if self._body is None else [(self._name, self._body)]


class Sweep:
    """Picks what counts no more, from documents without their bodies that come by `_id`.

    That is what has a newer version behind it, what is from before entry `cleared`, and a pattern that has been gone
    since before `forget_before`. `kept` counts the documents that stay.
    """

    def __init__(self, cleared: int, forget_before: float) -> None:
        self.kept = 0
        self._cleared, self._forget_before = cleared, forget_before
        self._version: list[Document] = []

    def take(self, documents: Sequence[Document]) -> tuple[list[str], list[str]]:
        """Return the ids that count no more, and those to be removed not before they have been."""
        outdated, forgotten = list[str](), list[str]()
        for document in documents:
            same = bool(self._version) and self._version[0]["name"] == document["name"]
            if same and "part" in document:  # of this version, or of one whose beginning may still come
                self._version.append(document)
                continue
            if same:
                outdated += self._ids()
            else:
                self._decide(outdated, forgotten)
            self._version = [document]
        return outdated, forgotten

    def rest(self) -> tuple[list[str], list[str]]:
        """Return the same of the last version of all."""
        outdated, forgotten = list[str](), list[str]()
        self._decide(outdated, forgotten)
        return outdated, forgotten

    def _decide(self, outdated: list[str], forgotten: list[str]) -> None:
        """Sort in the newest version of a name."""
        if not self._version:
            return
        first = self._version[0]
        if first["seq"] < self._cleared:
            outdated += [document["_id"] for document in self._version if document["seq"] < self._cleared]
        elif first.get("dead", self._forget_before) < self._forget_before:
            forgotten += self._ids()
        else:
            self.kept += len(self._version)

    def _ids(self) -> list[str]:
        return [document["_id"] for document in self._version]


def _place(node: str) -> str:
    """Return what the ids of a node's versions begin with."""
    return hashlib.sha256(node.encode()).hexdigest()[:32]


def _id(node: str, name: str, seq: int) -> str:
    return f"{_place(node)}:{name}:{seq:016x}"


def _version(node: str, name: str, seq: int, body: bytes) -> Iterator[Document]:
    first, *rest = parts(body)
    version = {"_id": _id(node, name, seq), "name": name, "seq": Int64(seq)}
    for number, part in enumerate(rest, 1):
        yield version | {"_id": f"{version['_id']}:{number:08x}", "body": part, "part": number}
    yield version | {"body": first}
