"""The fast matcher: `Matcher` over the Rust index of `service/kato_matcher`.

Made by `matcher.new_matcher` where the extension is installed, and by the tests that hold it to `oracle`. It turns the
engine's types into the extension's and back; all work is Rust's, with the GIL released. Unlike `Matcher` asks, writers
and readers may come from any thread at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kato_service.engine._matcher import Index
from kato_service.engine.fold import merged
from kato_service.engine.model import (
    Deletion,
    Events,
    Learning,
    Merging,
    Operation,
    PatternRecord,
    SymbolStatistics,
    Totals,
)
from kato_spec.parameters import Parameters


class RustMatcher:
    """A KB in memory, by index. See `Matcher` for what each method promises.

    Names are SHA-1 in hex, events hold a symbol at least, frequencies and affinities have bounds; a record outside of
    them raises `Rejected` and leaves the KB as it was, in `load` empty. A panic raises `RuntimeError`, and the
    operation that met it has not happened.
    """

    kind = "rust"

    def __init__(self) -> None:
        self._index = Index()
        self._vectors: dict[str, tuple[float, ...]] = {}

    def load(self, records: Iterable[PatternRecord], vectors: Mapping[str, tuple[float, ...]]) -> None:
        """Put patterns, each with at least one symbol, and vectors as they stand into the KB."""
        self._index.load(records)
        try:
            self._learn_vectors(vectors)
        except Exception:
            self._clear()
            raise

    def apply(self, operation: Operation) -> None:
        """Fold the log's next operation into the KB."""
        if isinstance(operation, Learning):
            self._index.learn(operation)
            for symbol, vector in operation.vectors.items():
                self._vectors.setdefault(symbol, vector)
        elif isinstance(operation, Deletion):
            self._index.delete(operation.name)
        elif isinstance(operation, Merging):
            self._index.put(self._joined(operation.records))
            self._learn_vectors(operation.vectors)
        else:
            self._clear()

    def predict(self, stm: Events, parameters: Parameters) -> bytes:
        """Return the answer's JSON, byte for byte as `oracle` writes it."""
        return self._index.predict(stm, parameters)

    def record(self, name: str) -> PatternRecord | None:
        """Return the pattern of the bare `name`, or None."""
        found = self._index.record(name)
        return None if found is None else PatternRecord(name, *found)

    def names(
        self, after: str = "", start: str = "", symbol: str | None = None, count: int | None = None
    ) -> Sequence[str]:
        """Return the names of all patterns, sorted, or a page of them, at the cost of one pass over them."""
        return self._index.names(after, start, symbol, count)

    def totals(self) -> Totals:
        """Return the KB's totals."""
        return Totals(*self._index.totals())

    def symbol(self, symbol: str) -> SymbolStatistics | None:
        """Return a symbol's statistics, or None when no pattern holds it."""
        found = self._index.symbol(symbol)
        if found is None:
            return None
        frequency, patterns, affinity = found
        return SymbolStatistics(frequency, patterns, dict(affinity))

    def statistics(self) -> bytes:
        """Return the JSON object of every symbol's statistics, byte for byte as `oracle` writes it."""
        return self._index.statistics()

    def affinities(self) -> bytes:
        """Return the JSON object of the affinities of the symbols that have any, as `oracle` writes it."""
        return self._index.affinities()

    def vectors(self) -> Mapping[str, tuple[float, ...]]:
        """Return the learned vectors by their symbol."""
        return self._vectors

    def nearest(self, vector: tuple[float, ...], count: int) -> tuple[str, ...]:
        """Return the symbols of the `count` learned vectors nearest by cosine, nearest first, ties by name."""
        return tuple(self._index.nearest(vector, count))

    def dump(self) -> bytes:
        """Return all patterns as bytes that `restore` reads ten times faster than `load` reads records."""
        return self._index.dump()

    def restore(self, dump: bytes, vectors: Mapping[str, tuple[float, ...]]) -> bool:
        """Put a dump's patterns and `vectors` into an empty KB; False when it is damaged or of another form."""
        if not self._index.restore(dump):
            return False
        self.load((), vectors)
        return True

    def memory(self) -> Mapping[str, int]:
        """Return the bytes that the index holds, by what for: patterns, symbols, extras, vectors."""
        return dict(self._index.memory())

    def _joined(self, records: Iterable[PatternRecord]) -> Iterable[PatternRecord]:
        """Return the patterns of `records` as they are once they have joined this KB."""
        joined: dict[str, PatternRecord] = {}
        for record in records:
            joined[record.name] = merged(joined.get(record.name) or self.record(record.name), record)
        return joined.values()

    def _learn_vectors(self, vectors: Mapping[str, tuple[float, ...]]) -> None:
        for symbol, vector in vectors.items():
            self._index.learn_vector(symbol, vector)
            self._vectors.setdefault(symbol, vector)

    def _clear(self) -> None:
        self._index.clear()
        self._vectors = {}
