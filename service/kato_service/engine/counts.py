"""The statistics of a KB, kept as patterns come, change and go.

Called by `oracle` on every change and by the metrics on every prediction. All of them are integers, so adding a
pattern and taking it back leaves no trace, and any order gives the same (engine.md, section 1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from kato_service.engine.model import AFFINITY_ONE, PatternRecord, SymbolStatistics, Totals
from kato_service.engine.naming import flatten

LEAST_WEIGHT = 0.01


@dataclass(slots=True)
class _Symbol:
    """Counts of one symbol. `affinity`: emotive -> its sum times `AFFINITY_ONE`; `holders`: patterns that have it."""

    frequency: int = 0
    patterns: int = 0
    affinity: Counter[str] = field(default_factory=Counter)
    holders: Counter[str] = field(default_factory=Counter)

    def change(self, count: int, record: PatternRecord, sign: int) -> None:
        self.frequency += sign * count * record.frequency
        self.patterns += sign
        for emotive, total in record.affinity.items():
            self.affinity[emotive] += sign * total
            self.holders[emotive] += sign
            if not self.holders[emotive]:
                del self.affinity[emotive], self.holders[emotive]


class Statistics:
    """What engine.md calls U, T, V and pr(s), and the affinity weights. `patterns` is U, `frequencies` is T."""

    def __init__(self) -> None:
        self.patterns = 0
        self.frequencies = 0
        self.symbol_frequencies = 0
        self._symbols: dict[str, _Symbol] = {}

    def add(self, record: PatternRecord) -> None:
        """Count a pattern in."""
        self._change(record, 1)

    def remove(self, record: PatternRecord) -> None:
        """Count a pattern out, given as it was when it was counted in."""
        self._change(record, -1)

    def totals(self) -> Totals:
        """Return the totals as the API shows them."""
        return Totals(self.patterns, self.frequencies, self.symbol_frequencies, len(self._symbols))

    @property
    def vocabulary(self) -> int:
        """V: the number of distinct symbols."""
        return len(self._symbols)

    def patterns_with(self, symbol: str) -> int:
        """Return the number of distinct patterns that hold `symbol`, 0 when it is unknown."""
        found = self._symbols.get(symbol)
        return found.patterns if found else 0

    def weight(self, symbol: str, emotive: str) -> float:
        """Return the affinity weight `|affinity| / 2**32 / frequency + 0.01`, computed from left to right in doubles.

        0.01 for a symbol that is unknown or has no affinity for `emotive` (engine.md, section 4).
        """
        found = self._symbols.get(symbol)
        if found is None or emotive not in found.affinity:
            return LEAST_WEIGHT
        return abs(found.affinity[emotive]) / AFFINITY_ONE / found.frequency + LEAST_WEIGHT

    def symbol(self, symbol: str) -> SymbolStatistics | None:
        """Return a symbol's statistics, or None when no pattern holds it."""
        found = self._symbols.get(symbol)
        if found is None:
            return None
        affinity = {emotive: total / AFFINITY_ONE for emotive, total in sorted(found.affinity.items())}
        return SymbolStatistics(found.frequency, found.patterns, affinity)

    def symbols(self) -> Iterator[str]:
        """Yield the distinct symbols, sorted by code point."""
        yield from sorted(self._symbols)

    def _change(self, record: PatternRecord, sign: int) -> None:
        counts = Counter(flatten(record.events))
        self.patterns += sign
        self.frequencies += sign * record.frequency
        self.symbol_frequencies += sign * record.frequency * counts.total()
        for symbol, count in counts.items():
            entry = self._symbols.setdefault(symbol, _Symbol())
            entry.change(count, record, sign)
            if not entry.patterns:
                del self._symbols[symbol]
