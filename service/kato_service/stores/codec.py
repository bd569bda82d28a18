"""How the stores write values as JSON and read them back. Called by every store that keeps bytes.

Field names are those of the dataclasses; a change of one is a new schema version. Affinities are written as text:
their integers outgrow 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

import orjson
from pydantic import TypeAdapter

from kato_service.engine.model import Clearing, Deletion, Learning, Merging, Operation, PatternRecord
from kato_service.processor.model import Pending, Session

_KINDS: Mapping[type[Operation], str] = {Learning: "learn", Deletion: "delete", Clearing: "clear", Merging: "merge"}
_OPERATIONS: Mapping[str, TypeAdapter[Operation]] = {
    "learn": TypeAdapter(Learning),
    "delete": TypeAdapter(Deletion),
    "clear": TypeAdapter(Clearing),
    "merge": TypeAdapter(Merging),
}
_SESSION = TypeAdapter(Session)
_VECTOR = TypeAdapter(tuple[float, ...])
_SESSION_FIELDS = tuple(
    (found.name, found.default_factory() if found.default_factory is not MISSING else found.default)
    for found in fields(Session)
)


def dump_operations(operations: tuple[Operation, ...]) -> bytes:
    """Write operations as a list of `{kind: fields}`."""
    return orjson.dumps([{_KINDS[type(operation)]: _plain(operation)} for operation in operations])


def load_operations(data: bytes) -> tuple[Operation, ...]:
    """Read what `dump_operations` wrote."""
    return _operations(orjson.loads(data))


def dump_pattern(record: PatternRecord) -> bytes:
    """Write a pattern."""
    return orjson.dumps(_plain(record))


def load_pattern(data: bytes) -> PatternRecord:
    """Read what `dump_pattern` wrote. Nothing is validated: a start reads a million, and the bytes are our own."""
    raw = orjson.loads(data)
    return PatternRecord(
        raw["name"],
        tuple(map(tuple, raw["events"])),
        raw["frequency"],
        tuple(raw["emotives"]),
        {emotive: int(total) for emotive, total in raw["affinity"].items()},
        {name: tuple(values) for name, values in raw["metadata"].items()},
    )


def dump_vector(vector: tuple[float, ...]) -> bytes:
    """Write a vector; every double comes back to the last bit."""
    return orjson.dumps(vector)


def load_vector(data: bytes) -> tuple[float, ...]:
    """Read what `dump_vector` wrote."""
    return _VECTOR.validate_python(orjson.loads(data))


def dump_session(session: Session, *, beside: frozenset[str] = frozenset()) -> bytes:
    """Write a session, with what it has pending; what is as in any new session is left out.

    So is what the store keeps `beside` it, by the names of the fields.
    """
    pending = session.pending
    written = {
        name: value
        for name, default in _SESSION_FIELDS
        if (value := getattr(session, name)) != default and name != "pending" and name not in beside
    }
    if pending is None:
        # A store that keeps nothing beside it writes as ever, for a service of an earlier build to read.
        return orjson.dumps({"session": written} if beside else {"session": written, "pending": None})
    operations = orjson.Fragment(dump_operations(pending.operations))
    return orjson.dumps(
        {
            "session": written,
            "pending": {
                "owner": pending.owner,
                "operations": operations,
                "learned": pending.learned,
                "settled": pending.settled,
            },
        }
    )


def load_session(data: bytes, **beside: object) -> Session:
    """Read what `dump_session` wrote; what stands beside it holds where the two differ."""
    raw = orjson.loads(data)
    session = _SESSION.validate_python(raw["session"] | beside)
    if raw.get("pending") is None:
        return session
    pending = Pending(**raw["pending"] | {"operations": _operations(raw["pending"]["operations"])})
    return replace(session, pending=pending)


def age_and_length(data: bytes) -> tuple[float, int]:
    """Read when a session was made and how many events its STM has, and nothing else of it."""
    session = orjson.loads(data)["session"]
    return session["created_at"], len(session.get("stm", ()))


def _plain(value: Operation | PatternRecord) -> dict[str, Any]:
    plain = {field.name: getattr(value, field.name) for field in fields(value)}
    if "affinity" in plain:
        plain["affinity"] = {emotive: str(total) for emotive, total in plain["affinity"].items()}
    if "records" in plain:
        plain["records"] = [_plain(record) for record in plain["records"]]
    return plain


def _operations(raw: list[dict[str, Any]]) -> tuple[Operation, ...]:
    return tuple(_OPERATIONS[kind].validate_python(found) for item in raw for kind, found in item.items())
