"""What the API answers about knowledge bases: models for the document, with an example each.

Named by the routes, shown in `/docs`; the tests hold the answers to these models.
"""

from __future__ import annotations

from typing import Literal

from kato_service.api.answer import Answer, example
from kato_service.api.answers import SHOWN, Events

SHA256 = "0f343b0931126a20f133d67c2b018a3b5f4e3d8c6b7a5f4e3d2c1b0a9f8e7d6c"


class Pattern(Answer):
    """A learned pattern; `length` counts its symbols, `emotives` is its window."""

    name: str
    pattern_data: Events
    length: int
    frequency: int
    emotives: list[dict[str, float]]
    metadata: dict[str, list[str]]


PATTERN = {
    "name": SHOWN,
    "pattern_data": [["hello"], ["world"]],
    "length": 2,
    "frequency": 3,
    "emotives": [{"joy": 0.5}],
    "metadata": {"book": ["one"]},
}


class FoundPattern(Answer):
    """A pattern that was found."""

    status: Literal["okay"]
    pattern: Pattern


class PatternAnswer(Answer):
    """One pattern of a node's knowledge base."""

    model_config = example(pattern={"status": "okay", "pattern": PATTERN}, node_id="alice")

    pattern: FoundPattern
    node_id: str


class PatternsPage(Answer):
    """Patterns by name; `total` counts the whole knowledge base. A page may be short: go on while there is a cursor."""

    model_config = example(patterns=[PATTERN], total=1, next_cursor=None, node_id="alice")

    patterns: list[Pattern]
    total: int
    next_cursor: str | None
    node_id: str


class SymbolStatistics(Answer):
    """How often a symbol was learned, in how many patterns it is, and its affinities."""

    frequency: int
    pattern_member_frequency: int
    affinity: dict[str, float]


class Totals(Answer):
    """The totals of a knowledge base."""

    total_unique_patterns: int
    total_pattern_frequencies: int
    total_symbol_frequencies: int
    symbols: int


class Symbols(Answer):
    """The statistics of every symbol of a knowledge base."""

    model_config = example(
        symbols={"hello": {"frequency": 3, "pattern_member_frequency": 1, "affinity": {"joy": 1.5}}},
        totals={
            "total_unique_patterns": 1,
            "total_pattern_frequencies": 3,
            "total_symbol_frequencies": 6,
            "symbols": 2,
        },
        node_id="alice",
    )

    symbols: dict[str, SymbolStatistics]
    totals: Totals
    node_id: str


class Affinities(Answer):
    """The affinity of every symbol that has one, by emotive."""

    model_config = example(affinities={"hello": {"joy": 1.5}}, node_id="alice")

    affinities: dict[str, dict[str, float]]
    node_id: str


class Affinity(Answer):
    """One symbol's affinity, by emotive."""

    model_config = example(symbol="hello", affinity={"joy": 1.5}, node_id="alice")

    symbol: str
    affinity: dict[str, float]
    node_id: str


class ImportedNode(Answer):
    """What one node's knowledge base took in."""

    node_id: str
    patterns: int
    vectors: int


class Imported(Answer):
    """What was taken in, durable now; `sha256` is the digest of the export."""

    model_config = example(
        status="imported",
        patterns=1,
        vectors=0,
        nodes=[{"node_id": "alice", "patterns": 1, "vectors": 0}],
        sha256=SHA256,
    )

    status: Literal["imported"]
    patterns: int
    vectors: int
    nodes: list[ImportedNode]
    sha256: str
