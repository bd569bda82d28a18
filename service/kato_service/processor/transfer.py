"""The lines of an exported memory: written by `export`, read by `importing` (service.md, export and import).

One JSON object a line: a head, then for each knowledge base its own head, its vectors and its patterns, both by name,
and at the end the SHA-256 of every byte before. The same memory gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from kato_service.engine import limits
from kato_service.engine.model import PatternRecord
from kato_service.engine.vectors import Vector
from kato_spec.errors import Rejected

VERSION = 1
MAX_FREQUENCY = 2**31
MAX_AFFINITY = 2**90
MAX_WINDOW = 100  # the greatest persistence
NAME_DIGITS = 40
Line = Mapping[str, Any]


def write(line: Line) -> bytes:
    """Write one line."""
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def head(nodes: int, patterns: int) -> Line:
    """Return the first line, with the totals of what follows."""
    return {"kato_memory": VERSION, "nodes": nodes, "patterns": patterns}


def node_head(node: str, patterns: int, vectors: int) -> Line:
    """Return the line that begins a knowledge base."""
    return {"node": node, "patterns": patterns, "vectors": vectors}


def vector_line(symbol: str, vector: Vector) -> Line:
    """Return the line of a learned vector."""
    return {"vector": symbol, "values": vector}


def pattern_line(record: PatternRecord) -> Line:
    """Return the line of a pattern; affinities are text, as their integers outgrow what JSON readers keep exact."""
    return {
        "pattern": record.name,
        "events": record.events,
        "frequency": record.frequency,
        "emotives": record.emotives,
        "affinity": {emotive: str(total) for emotive, total in record.affinity.items()},
        "metadata": record.metadata,
    }


def end(patterns: int, vectors: int, sha256: str) -> Line:
    """Return the last line."""
    return {"end": {"patterns": patterns, "vectors": vectors, "sha256": sha256}}


def read_pattern(place: str, line: Line) -> PatternRecord:
    """Read a pattern's line; `place` stands in front of a field's name.

    Raises:
        Rejected: with the field, its value and what is allowed.
    """
    name = line["pattern"]
    if not isinstance(name, str) or len(name) != NAME_DIGITS or not set(name) <= set("0123456789abcdef"):
        raise Rejected(f"{place}pattern", name, f"{NAME_DIGITS} lower-case hexadecimal digits")
    given = line.get("events")
    events = limits.events(f"{place}events", given)
    if not events or not isinstance(given, list) or len(events) != len(given):
        raise Rejected(f"{place}events", given, "a list of events, each of at least one symbol")
    emotives = line.get("emotives", [])
    if not isinstance(emotives, list) or len(emotives) > MAX_WINDOW:
        raise Rejected(f"{place}emotives", emotives, f"a list of at most {MAX_WINDOW} objects")
    metadata = limits.metadata(f"{place}metadata", line.get("metadata", {}))
    return PatternRecord(
        name,
        events,
        read_count(f"{place}frequency", line.get("frequency"), 1),
        emotives=tuple(limits.emotives(f"{place}emotives[{index}]", each) for index, each in enumerate(emotives)),
        affinity=dict(_affinity(f"{place}affinity", line.get("affinity", {}))),
        metadata={key: tuple(sorted(set(metadata[key]))) for key in sorted(metadata)},
    )


def read_vector(place: str, line: Line, dimension: int | None) -> tuple[str, Vector]:
    """Read a vector's line; `dimension` is that of the vectors before it, None for the first.

    Raises:
        Rejected, VectorDimension: with the field, its value and what is allowed.
    """
    symbol = limits.text(f"{place}vector", line["vector"])
    (vector,) = limits.vectors(f"{place}values", [line.get("values")], dimension)
    return symbol, vector


def read_count(place: str, value: object, least: int = 0) -> int:
    """Read a count from `least` to `MAX_FREQUENCY`.

    Raises:
        Rejected: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_FREQUENCY:
        raise Rejected(place, value, f"a whole number {least}..{MAX_FREQUENCY}")
    return value


def _affinity(place: str, given: object) -> Iterator[tuple[str, int]]:
    allowed = f"an object of emotives and whole numbers as text, at most {MAX_AFFINITY} in magnitude"
    if not isinstance(given, dict):
        raise Rejected(place, given, allowed)
    for emotive, value in sorted(given.items()):
        digits = value.removeprefix("-") if isinstance(value, str) else ""
        if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(MAX_AFFINITY))):
            raise Rejected(f"{place}.{emotive}", value, allowed)
        if abs(number := int(value)) > MAX_AFFINITY:
            raise Rejected(f"{place}.{emotive}", value, allowed)
        yield limits.text(place, emotive), number
