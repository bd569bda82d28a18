"""The operator's metrics and its health, in one place that the rooms report to.

Made by the composition root; served by `server` (spec: operator.md, "Metrics").
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kato_operator.desired.kinds import CUSTOM, PROCESSOR, SESSION, WATCHED, Kind
from kato_operator.reconcile.cache import Cache
from kato_operator.reconcile.ports import Key
from kato_operator.reconcile.queue import WorkQueue
from kato_operator.status.conditions import find

# A queue whose longest due key waits longer than this, in seconds, no longer moves.
LAG_LIMIT = 120.0


class Telemetry(Collector):
    """Counts, durations and ages. A watch may be as old as `watch_limit` seconds before the process counts as sick."""

    def __init__(self, queue: WorkQueue, cache: Cache, monotonic: Callable[[], float], *, watch_limit: float) -> None:
        self._queue = queue
        self._cache = cache
        self._monotonic = monotonic
        self._watch_limit = watch_limit
        self._proven: dict[Kind, float] = {}
        self.leader = False
        self.registry = CollectorRegistry()
        self._reconciles = Counter(
            "kato_operator_reconciles", "Stories told to their end.", ["kind", "outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "kato_operator_reconcile_seconds", "Duration of a story.", ["kind"], registry=self.registry
        )
        self._writes = Counter(
            "kato_operator_writes", "Writes to the API server.", ["kind", "verb"], registry=self.registry
        )
        self.registry.register(self)

    def reconciled(self, key: Key, outcome: str, seconds: float) -> None:
        """Count the end of a story."""
        self._reconciles.labels(key.kind, outcome).inc()
        self._seconds.labels(key.kind).observe(seconds)

    def wrote(self, kind: Kind, verb: str) -> None:
        """Count a write to the API server, by its verb in the API: what is applied counts as patch."""
        self._writes.labels(kind.name, verb).inc()

    def proven(self, kind: Kind) -> None:
        """Note that the watch of `kind` showed something, or was seen to have missed nothing."""
        self._proven[kind] = self._monotonic()

    def sickness(self) -> str | None:
        """Say why the process should be restarted, or return None when it should not."""
        now = self._monotonic()
        if not self.leader:
            return None
        if self._queue.lag(now) > LAG_LIMIT:
            return f"the queue has not moved for {self._queue.lag(now):.0f} s"
        old = [kind.plural for kind, age in self._ages(now) if age > self._watch_limit]
        return f"nothing was seen for more than {self._watch_limit:.0f} s of {', '.join(old)}" if old else None

    def _ages(self, now: float) -> Iterator[tuple[Kind, float]]:
        """Yield each watched kind and for how long its watch was not seen to work, in seconds."""
        for kind in WATCHED:
            if kind in self._proven:
                yield kind, now - self._proven[kind]

    def collect(self) -> Iterable[Metric]:
        """Yield what is measured when someone asks."""
        now = self._monotonic()
        yield GaugeMetricFamily("kato_operator_leader", "Whether this replica is the leader.", value=self.leader)
        yield GaugeMetricFamily("kato_operator_queue_depth", "Keys due.", value=self._queue.depth(now))
        yield GaugeMetricFamily("kato_operator_queue_lag_seconds", "Longest wait.", value=self._queue.lag(now))
        ages = GaugeMetricFamily("kato_operator_watch_age_seconds", "Since a watch was seen to work.", labels=["kind"])
        for kind, age in self._ages(now):
            ages.add_metric([kind.name], age)
        yield ages
        objects = GaugeMetricFamily("kato_operator_objects", "Our objects by phase.", labels=["kind", "phase"])
        for (name, phase), count in sorted(self._phases().items()):
            objects.add_metric([name, phase], count)
        yield objects

    def _phases(self) -> Tally[tuple[str, str]]:
        """Count our own objects by kind and phase."""
        return Tally(
            (kind.name, _phase(kind, body.get("status", {}))) for kind in CUSTOM for body in self._cache.all(kind)
        )


def _phase(kind: Kind, status: dict[str, object]) -> str:
    """Return the phase of an object: a session's own, a processor's reason for being ready or not."""
    if kind is SESSION:
        return str(status.get("phase", "Pending"))
    ready = find(status, "Ready")
    if kind is not PROCESSOR or ready is None:
        return "Unknown"
    return "Ready" if ready["status"] == "True" else str(ready["reason"])
