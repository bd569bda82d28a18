"""What the engine works on: operations of the memory's log, patterns as they stand, and the matcher's contract.

A knowledge base (KB) is a fold of `Operation`s in log order (service.md, "Memory is a log"). Whatever holds it in
memory implements `Matcher`: `oracle.OracleMatcher` says what engine.md says and nothing clever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kato_spec.parameters import Parameters

Event = tuple[str, ...]
Events = tuple[Event, ...]
Emotives = Mapping[str, float]

AFFINITY_ONE = 2**32  # affinity is a fixed-point integer, so that its sum does not depend on order


@dataclass(frozen=True, slots=True)
class Learning:
    """One learning of a pattern, complete in itself: applying it needs no session and no configuration.

    `name` is the bare SHA-1 (engine.md, section 1), computed once and never again. `emotives` are the non-empty
    dictionaries of the learned observations, oldest first, of which a pattern keeps the last `persistence`.
    `affinity` maps an emotive to the mean over this learning, times `AFFINITY_ONE`, rounded half to even.
    `vectors` maps the vector symbols first seen in this STM to their values.
    """

    op_id: str
    name: str
    events: Events
    emotives: tuple[Emotives, ...] = ()
    affinity: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vectors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    persistence: int = 5


@dataclass(frozen=True, slots=True)
class Deletion:
    """One pattern is forgotten, whatever its frequency; an unknown name changes nothing."""

    op_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Clearing:
    """The whole KB is forgotten, vectors too."""

    op_id: str


@dataclass(frozen=True, slots=True)
class PatternRecord:
    """A pattern as it stands: the fold of its learnings. `metadata` values are sorted and distinct."""

    name: str
    events: Events
    frequency: int
    emotives: tuple[Emotives, ...] = ()
    affinity: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Merging:
    """Patterns and vectors as they stood in another KB join this one (service.md, import).

    Frequencies and affinities are added, metadata united; a vector that is known already stays.
    """

    op_id: str
    records: tuple[PatternRecord, ...]
    vectors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


Operation = Learning | Deletion | Clearing | Merging


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of a KB (engine.md, section 1). `symbols` counts the distinct symbols."""

    total_unique_patterns: int
    total_pattern_frequencies: int
    total_symbol_frequencies: int
    symbols: int


@dataclass(frozen=True, slots=True)
class SymbolStatistics:
    """One symbol's statistics; `affinity` maps an emotive to the signed sum, as a float."""

    frequency: int
    pattern_member_frequency: int
    affinity: Mapping[str, float]


class Matcher(Protocol):
    """A KB in memory. Not thread-safe for writers: one writer at a time, readers at any time between writes."""

    kind: str
    """What serves, as `/status` shows it: "oracle" or "rust"."""

    def load(self, records: Iterable[PatternRecord], vectors: Mapping[str, tuple[float, ...]]) -> None:
        """Put patterns and vectors as they stand into a KB; piece by piece comes to the same as all at once."""

    def apply(self, operation: Operation) -> None:
        """Fold the log's next operation into the KB."""

    def predict(self, stm: Events, parameters: Parameters) -> bytes:
        """Return the JSON object `{"predictions": [...], "future_potentials": [...]}` of engine.md, section 4.

        `stm` is as observed (already sorted or not). Byte-identical for the same KB, STM and parameters.
        """

    def record(self, name: str) -> PatternRecord | None:
        """Return the pattern of the bare `name`, or None."""

    def names(
        self, after: str = "", start: str = "", symbol: str | None = None, count: int | None = None
    ) -> Sequence[str]:
        """Return the names of all patterns, sorted.

        Of those behind `after` alone, that begin with `start`, whose patterns hold `symbol`; the first `count` of them.
        """

    def totals(self) -> Totals:
        """Return the KB's totals."""

    def symbol(self, symbol: str) -> SymbolStatistics | None:
        """Return a symbol's statistics, or None when no pattern holds it."""

    def statistics(self) -> bytes:
        """Return the JSON object of every symbol's statistics: `{symbol: {...}}` with the fields of `SymbolStatistics`.

        Symbols are the distinct ones of all patterns; they and their emotives are sorted by code point.
        """

    def affinities(self) -> bytes:
        """Return the JSON object of the affinities of the symbols that have any: `{symbol: {emotive: affinity}}`."""

    def vectors(self) -> Mapping[str, tuple[float, ...]]:
        """Return the learned vectors by their symbol."""

    def nearest(self, vector: tuple[float, ...], count: int) -> tuple[str, ...]:
        """Return the symbols of the `count` learned vectors nearest by cosine, nearest first, ties by name."""

    def memory(self) -> Mapping[str, int]:
        """Return the bytes that the index holds, by what for; nothing where they are not counted."""

    def dump(self) -> bytes:
        """Return all patterns in a form that `restore` reads faster than `load`; nothing where there is no such form.

        A dump is a copy for a faster start, never the truth: keep beside it which fold of the log it is.
        """

    def restore(self, dump: bytes, vectors: Mapping[str, tuple[float, ...]]) -> bool:
        """Put a dump's patterns and `vectors` into an empty KB.

        False, and nothing changes, when the dump is damaged or of another form: load the records then.
        """
