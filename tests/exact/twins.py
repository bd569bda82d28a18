"""The two matchers side by side: every operation goes to both, every answer is compared to the last byte."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from kato_service.engine.model import Events, Matcher, Operation, PatternRecord
from kato_service.engine.oracle import OracleMatcher
from kato_service.engine.rust import RustMatcher
from kato_spec.parameters import Parameters


class Twins:
    """One KB in the plain matcher and in the fast one."""

    def __init__(self, fast: Matcher | None = None) -> None:
        self.plain = OracleMatcher()
        self.fast = fast or RustMatcher()

    def load(self, records: Iterable[PatternRecord], vectors: Mapping[str, tuple[float, ...]] | None = None) -> None:
        """Load the same patterns into both."""
        kept = list(records)
        for matcher in (self.plain, self.fast):
            matcher.load(kept, vectors or {})

    def apply(self, operations: Iterable[Operation]) -> None:
        """Fold the same operations into both."""
        for operation in operations:
            for matcher in (self.plain, self.fast):
                matcher.apply(operation)

    def predict(self, stm: Events, parameters: Parameters) -> bytes:
        """Return the answer that both give."""
        wanted = self.plain.predict(stm, parameters)
        assert self.fast.predict(stm, parameters) == wanted
        return wanted

    def check_memory(self) -> None:
        """Compare everything that is not a prediction."""
        plain, fast = self.plain, self.fast
        assert fast.totals() == plain.totals()
        assert list(fast.names()) == list(plain.names())
        assert (fast.statistics(), fast.affinities()) == (plain.statistics(), plain.affinities())
        assert fast.vectors() == plain.vectors()
        assert all(fast.record(name) == plain.record(name) for name in plain.names())
        symbols = json.loads(plain.statistics())
        assert all(fast.symbol(symbol) == plain.symbol(symbol) for symbol in symbols)
        self._check_pages(symbols)

    def _check_pages(self, symbols: Iterable[str]) -> None:
        names = list(self.plain.names())
        middle = names[len(names) // 2] if names else ""
        pages: list[tuple[str, str, str | None, int | None]] = [
            *(
                (after, start, None, count)
                for after in ("", middle, "x")
                for start in ("", "a", middle)
                for count in (0, 3)
            ),
            *(("", "", symbol, None) for symbol in (*symbols, "nobody's")),
            *((middle, "", symbol, 1) for symbol in symbols),
        ]
        for page in pages:
            assert list(self.fast.names(*page)) == list(self.plain.names(*page)), page


def records_of(matcher: Matcher) -> Iterator[PatternRecord]:
    """Yield all patterns as they stand."""
    for name in matcher.names():
        record = matcher.record(name)
        assert record is not None
        yield record
