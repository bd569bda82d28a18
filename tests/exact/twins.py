"""The two matchers side by side: every operation goes to both, every answer is compared to the last byte."""

from __future__ import annotations

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
        assert list(fast.symbols()) == list(plain.symbols())
        assert fast.vectors() == plain.vectors()
        assert all(fast.record(name) == plain.record(name) for name in plain.names())
        assert all(fast.symbol(symbol) == plain.symbol(symbol) for symbol in plain.symbols())


def records_of(matcher: Matcher) -> Iterator[PatternRecord]:
    """Yield all patterns as they stand."""
    for name in matcher.names():
        record = matcher.record(name)
        assert record is not None
        yield record
