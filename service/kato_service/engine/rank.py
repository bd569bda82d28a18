"""The order of predictions and of futures.

Called by `oracle` before the cut to `max_predictions` (engine.md, section 4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kato_service.engine.blocks import Alignment
from kato_service.engine.ensemble import FuturePotential
from kato_service.engine.metrics import Metrics
from kato_service.engine.recall import Recalled
from kato_spec.parameters import RankMetric


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recalled pattern with all that its prediction shows."""

    found: Recalled
    alignment: Alignment
    metrics: Metrics


def ranked(candidates: Iterable[Candidate], metric: RankMetric) -> list[Candidate]:
    """Sort by `metric`, highest first, None counting as 0; equal ones by the pattern's name, ascending."""

    def key(candidate: Candidate) -> tuple[float, str]:
        value: float | None = getattr(candidate.metrics, metric)
        return (-(value or 0), candidate.found.record.name)

    return sorted(candidates, key=key)


def ranked_futures(futures: Iterable[FuturePotential]) -> list[FuturePotential]:
    """Sort by `aggregate_potential`, highest first; equal ones by the future, event by event, by code point."""
    return sorted(futures, key=lambda entry: (-entry.aggregate_potential, entry.future))
