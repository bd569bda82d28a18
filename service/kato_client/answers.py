"""The service's answers as types: the JSON as it came, with names for a type checker (service.md, "Endpoints").

A service may answer more fields than these; they are all there.
"""

from __future__ import annotations

from typing import Any, TypedDict


class Ping(TypedDict):
    """Who answers: `id` is the processor's."""

    status: str
    id: str
    name: str


class Health(TypedDict):
    """How the processor is: `status` is healthy or degraded, `issues` say why."""

    status: str
    processor_status: str
    issues: list[str]
    uptime_seconds: float
    active_sessions: int


class Session(TypedDict):
    """One session; times are ISO 8601."""

    session_id: str
    node_id: str
    user_id: str
    created_at: str
    expires_at: str
    ttl_seconds: int
    metadata: dict[str, Any]
    session_config: dict[str, Any]


class Extended(TypedDict):
    """A session's new life."""

    session_id: str
    ttl_seconds: int
    expires_at: str


class Observed(TypedDict):
    """What an observation did; `auto_learned_pattern` is null unless it filled the STM, `at_rest` as configured."""

    status: str
    stm_length: int
    time: int
    unique_id: str | None
    auto_learned_pattern: str | None
    at_rest: bool


class Sequence(TypedDict):
    """What a sequence of observations did."""

    status: str
    observations_processed: int
    initial_stm_length: int
    final_stm_length: int
    auto_learned_patterns: list[str]
    final_learned_pattern: str | None


class Learned(TypedDict):
    """What was learned: `status` is learned or insufficient_data, `pattern_name` `PTRN|<sha1>` or empty."""

    status: str
    pattern_name: str
    message: str


class Stm(TypedDict):
    """The short-term memory: events, oldest first, each a list of symbols."""

    stm: list[list[str]]
    length: int


class Pattern(TypedDict):
    """A learned pattern: its bare name, its events, how often it was learned."""

    name: str
    pattern_data: list[list[str]]
    length: int
    frequency: int
    emotives: list[dict[str, float]]
    metadata: dict[str, list[str]]


class Prediction(TypedDict):
    """A recalled pattern: what of it is past, present and future, and how well it fits (engine.md, section 4)."""

    name: str
    frequency: int
    past: list[list[str]]
    present: list[list[str]]
    future: list[list[str]]
    matches: list[str]
    missing: list[list[str]]
    extras: list[list[str]]
    similarity: float
    confidence: float
    evidence: float
    potential: float


class Predictions(TypedDict):
    """Predictions, best first, and the distinct futures with their share."""

    predictions: list[Prediction]
    future_potentials: list[dict[str, Any]]
    count: int


class Trained(TypedDict):
    """A knowledge base that is durable, indexed and folded."""

    node_id: str
    patterns_processed: int
    time_ms: float


class SymbolStatistics(TypedDict):
    """How often a symbol was learned, in how many patterns it is, and its affinity by emotive."""

    frequency: int
    pattern_member_frequency: int
    affinity: dict[str, float]


class Totals(TypedDict):
    """The totals of a knowledge base."""

    total_unique_patterns: int
    total_pattern_frequencies: int
    total_symbol_frequencies: int
    symbols: int


class Symbols(TypedDict):
    """The statistics of a node's symbols."""

    symbols: dict[str, SymbolStatistics]
    totals: Totals


class ImportedNode(TypedDict):
    """What one node took in."""

    node_id: str
    patterns: int
    vectors: int


class Imported(TypedDict):
    """What an import took in; `sha256` is the export's digest."""

    patterns: int
    vectors: int
    nodes: list[ImportedNode]
    sha256: str
