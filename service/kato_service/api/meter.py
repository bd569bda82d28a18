"""What is counted of every request. Written by the front door, read by the monitor and by `GET /metrics`.

The counters are prometheus-client's, in a registry of this application's own; what the process is like at the moment
of a scrape joins them as gauges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
FAILED = 500
NO_ROUTE = "none"
Figures = Mapping[str, tuple[str, float]]  # name -> (what it is, its value)


class Meter:
    """Counts requests. `requests`, `failures` (answers of 500 and above) and `seconds` are totals since the start."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures = 0
        self.seconds = 0.0
        self.in_progress = 0
        self.peak = 0
        self.refused = 0
        self._registry = CollectorRegistry()
        self._total = Counter(
            "kato_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._duration = Histogram(
            "kato_request_duration_seconds",
            "Seconds from a request's head to the end of its answer.",
            ("route",),
            buckets=BUCKETS,
            registry=self._registry,
        )

    def begin(self) -> None:
        """Count a request that has come in."""
        self.in_progress += 1
        self.peak = max(self.peak, self.in_progress)

    def end(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count its answer."""
        self.in_progress -= 1
        self.requests += 1
        self.failures += status >= FAILED
        self.seconds += seconds
        self._total.labels(method, route, status).inc()
        self._duration.labels(route).observe(seconds)

    def exposition(self, gauges: Figures, counters: Figures) -> bytes:
        """Return the Prometheus text format, with more `gauges` and `counters` as they are now."""
        now = CollectorRegistry()
        now.register(_Figures(gauges, counters))
        return generate_latest(self._registry) + generate_latest(now)


class _Figures(Collector):
    """Figures that are counted elsewhere."""

    def __init__(self, gauges: Figures, counters: Figures) -> None:
        self._gauges, self._counters = gauges, counters

    def collect(self) -> Iterator[Metric]:
        for name, (what, value) in self._gauges.items():
            yield GaugeMetricFamily(name, what, value=value)
        for name, (what, value) in self._counters.items():
            yield CounterMetricFamily(name, what, value=value)
