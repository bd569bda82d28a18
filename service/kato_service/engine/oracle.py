"""The plain matcher: what engine.md says, one pattern after the other, and nothing clever.

Made by the composition root for each KB, when the fast matcher is not there, and by the tests that hold the two
together. `Matcher` in `model` is its contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import orjson

from kato_service.engine.answer import render
from kato_service.engine.blocks import Aligner
from kato_service.engine.counts import Statistics
from kato_service.engine.ensemble import canonical, summed
from kato_service.engine.fold import learned, merged
from kato_service.engine.metrics import measure
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
from kato_service.engine.rank import Candidate, ranked, ranked_futures
from kato_service.engine.recall import State, recall
from kato_service.engine.vectors import LearnedVectors
from kato_spec.parameters import Parameters


class OracleMatcher:
    """A KB in memory, by plain Python. See `Matcher` for what each method promises."""

    kind = "oracle"

    def __init__(self) -> None:
        self._clear()

    def load(self, records: Iterable[PatternRecord], vectors: Mapping[str, tuple[float, ...]]) -> None:
        """Put patterns, each with at least one symbol, and vectors as they stand into the KB."""
        for record in records:
            self._put(record)
        self._vectors.learn(vectors)

    def apply(self, operation: Operation) -> None:
        """Fold the log's next operation into the KB."""
        if isinstance(operation, Learning):
            self._put(learned(self._records.get(operation.name), operation))
            self._vectors.learn(operation.vectors)
        elif isinstance(operation, Deletion):
            self._remove(operation.name)
        elif isinstance(operation, Merging):
            for record in operation.records:
                self._put(merged(self._records.get(record.name), record))
            self._vectors.learn(operation.vectors)
        else:
            self._clear()

    def predict(self, stm: Events, parameters: Parameters) -> bytes:
        """Return the answer's JSON (form: `answer`; order of every float operation: `metrics` and `ensemble`)."""
        state = State.of(stm, parameters)
        aligner = Aligner(state)
        members = [(found, aligner.align(found)) for found in recall(self._records.values(), state, parameters)]
        futures = [canonical(alignment.future) for _, alignment in members]
        ensemble = summed((found, future) for (found, _), future in zip(members, futures, strict=True))
        candidates = (
            Candidate(
                found,
                alignment,
                measure(found, alignment, state, ensemble, self._statistics, parameters.affinity_emotive),
            )
            for found, alignment in members
        )
        chosen = ranked(candidates, parameters.rank_sort_algo)[: parameters.max_predictions]
        shown = {canonical(candidate.alignment.future) for candidate in chosen}
        return render(chosen, ranked_futures(entry for entry in ensemble.futures.values() if entry.future in shown))

    def record(self, name: str) -> PatternRecord | None:
        """Return the pattern of the bare `name`, or None."""
        return self._records.get(name)

    def names(
        self, after: str = "", start: str = "", symbol: str | None = None, count: int | None = None
    ) -> Sequence[str]:
        """Return the names of all patterns, sorted, or a page of them."""
        records = self._records.items()
        found = (name for name, record in records if name > after and name.startswith(start) and _holds(record, symbol))
        return sorted(found)[:count]

    def totals(self) -> Totals:
        """Return the KB's totals."""
        return self._statistics.totals()

    def symbol(self, symbol: str) -> SymbolStatistics | None:
        """Return a symbol's statistics, or None when no pattern holds it."""
        return self._statistics.symbol(symbol)

    def statistics(self) -> bytes:
        """Return the JSON object of every symbol's statistics (form: `answer`)."""
        return orjson.dumps({symbol: self.symbol(symbol) for symbol in self._statistics.symbols()})

    def affinities(self) -> bytes:
        """Return the JSON object of the affinities of the symbols that have any (form: `answer`)."""
        found = ((symbol, self.symbol(symbol)) for symbol in self._statistics.symbols())
        return orjson.dumps({symbol: known.affinity for symbol, known in found if known and known.affinity})

    def vectors(self) -> Mapping[str, tuple[float, ...]]:
        """Return the learned vectors by their symbol."""
        return self._vectors.values

    def nearest(self, vector: tuple[float, ...], count: int) -> tuple[str, ...]:
        """Return the symbols of the `count` learned vectors nearest by cosine, nearest first, ties by name."""
        return self._vectors.nearest(vector, count)

    def memory(self) -> Mapping[str, int]:
        """Return nothing: what Python's objects hold is not counted."""
        return {}

    def dump(self) -> bytes:
        """Return nothing: records are the only form."""
        return b""

    def restore(self, dump: bytes, vectors: Mapping[str, tuple[float, ...]]) -> bool:
        """Return False: no dump is this one's."""
        return False

    def _clear(self) -> None:
        self._records: dict[str, PatternRecord] = {}
        self._statistics = Statistics()
        self._vectors = LearnedVectors()

    def _put(self, record: PatternRecord) -> None:
        self._remove(record.name)
        self._records[record.name] = record
        self._statistics.add(record)

    def _remove(self, name: str) -> None:
        before = self._records.pop(name, None)
        if before is not None:
            self._statistics.remove(before)


def _holds(record: PatternRecord, symbol: str | None) -> bool:
    return symbol is None or any(symbol in event for event in record.events)
