"""The sums over everything recalled, the same to the last bit whatever the order of arrival.

Called by `oracle` between recall and metrics. A matcher that never looks at single patterns can compute the same:
integers are summed per class, then the classes in ascending (size, common) order are taken as floats (engine.md,
section 4; matcher.md, point 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from kato_service.engine.floats import left_sum
from kato_service.engine.model import Events
from kato_service.engine.recall import Recalled


class ClassSum:
    """The sum of f * similarity over patterns, in classes.

    `weight()` is 0.0, plus `float(sum of f) * similarity` of each class, classes ascending by (size, common).
    """

    def __init__(self) -> None:
        self.patterns = 0
        self.frequency = 0
        self._classes: Counter[tuple[int, int, float]] = Counter()

    def add(self, found: Recalled) -> None:
        """Count a recalled pattern in."""
        self.patterns += 1
        self.frequency += found.record.frequency
        self._classes[found.size, found.common, found.similarity] += found.record.frequency

    def weight(self) -> float:
        """Return the sum; see the class for its order."""
        return left_sum(frequency * similarity for (_, _, similarity), frequency in sorted(self._classes.items()))


@dataclass(frozen=True, slots=True)
class FuturePotential:
    """One distinct future: its share A of the whole ensemble's f * similarity, and what it is made of."""

    future: Events
    aggregate_potential: float
    supporting_patterns: int
    total_weighted_frequency: float


@dataclass(frozen=True, slots=True)
class Ensemble:
    """`frequency` is F; `weight` the sum of f * similarity; `futures` by canonical form, without the empty one."""

    frequency: int = 0
    weight: float = 0.0
    futures: dict[Events, FuturePotential] = field(default_factory=dict)

    def share(self, future: Events) -> float:
        """Return A of a canonical `future`, 0.0 for the empty one."""
        found = self.futures.get(future)
        return found.aggregate_potential if found else 0.0


def canonical(future: Events) -> Events:
    """Return `future` with the symbols sorted inside each event: the form in which futures are compared and shown."""
    return tuple(tuple(sorted(event)) for event in future)


def summed(members: Iterable[tuple[Recalled, Events]]) -> Ensemble:
    """Sum the ensemble, given as recalled patterns with their canonical futures."""
    whole = ClassSum()
    by_future: dict[Events, ClassSum] = {}
    for found, future in members:
        whole.add(found)
        if future:
            by_future.setdefault(future, ClassSum()).add(found)
    weight = whole.weight()
    futures = {future: _potential(future, part, weight) for future, part in by_future.items()}
    return Ensemble(whole.frequency, weight, futures)


def _potential(future: Events, part: ClassSum, whole: float) -> FuturePotential:
    weight = part.weight()
    return FuturePotential(future, weight / whole if whole else 0.0, part.patterns, weight)
