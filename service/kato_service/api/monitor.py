"""A ring of samples of the process, taken on a clock. Run by the composition root, read by the monitoring routes."""

from __future__ import annotations

import asyncio
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from kato_service.api.meter import Meter
from kato_service.api.shown import moment
from kato_service.processor import background
from kato_service.processor.errors import StoreUnavailable
from kato_service.processor.processor import Processor

INTERVAL = 10.0  # seconds
MOST_MINUTES = 24 * 60
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at one moment, by metric; the duration is the mean since the sample before."""

    at: float
    values: Mapping[str, float]


class Monitor:
    """Samples one process. `disk` is where its databases are."""

    def __init__(self, processor: Processor, meter: Meter, disk: Path | None = None) -> None:
        self.meter = meter
        self.collected = 0
        self.processor, self.disk = processor, disk
        self._process = psutil.Process()
        self._process.cpu_percent()  # the next call tells of the time since this one
        self._ring: deque[Sample] = deque(maxlen=int(MOST_MINUTES * SECONDS / INTERVAL))
        self._before = (0, 0.0)

    @property
    def last(self) -> Sample | None:
        """The newest sample, None before the first."""
        return self._ring[-1] if self._ring else None

    async def run(self) -> None:
        """Take a sample now and one every `INTERVAL` seconds, until cancelled."""
        while True:
            await background.attempt("sample", self.collect())
            await asyncio.sleep(INTERVAL)

    async def collect(self) -> Sample:
        """Take a sample and keep it."""
        meter, before = self.meter, self._before
        requests, seconds = meter.requests - before[0], meter.seconds - before[1]
        self._before = (meter.requests, meter.seconds)
        measured = {
            "kato_cpu_usage_percent": self._process.cpu_percent(),
            "kato_request_duration_seconds": seconds / requests if requests else 0.0,
        }
        sample = Sample(self.processor.clock.now(), {**measured, **await self.present()})
        self._ring.append(sample)
        self.collected += 1
        return sample

    async def latest(self) -> Sample:
        """Return the newest sample; where there is none yet, take one."""
        return self.last or await self.collect()

    async def present(self) -> dict[str, float]:
        """Return what needs no time between two looks, as it is now."""
        return {
            "kato_memory_usage_percent": round(self._process.memory_percent(), 3),
            "kato_resident_memory_bytes": float(self._process.memory_info().rss),
            "kato_requests_total": float(self.meter.requests),
            "kato_errors_total": float(self.meter.failures),
            "kato_requests_in_progress": float(self.meter.in_progress),
            "kato_sessions_active": float(await self.active_sessions()),
            "kato_patterns": float(self.processor.library.patterns()),
            "kato_index_bytes": float(await self.processor.library.memory()),
        }

    async def active_sessions(self) -> int:
        """Count the sessions; 0 while their store is away, which `/health` tells."""
        try:
            return await self.processor.sessions.count()
        except StoreUnavailable:
            return 0

    def disk_percent(self) -> float:
        """Return how full the disk of the databases is."""
        return float(psutil.disk_usage(str(self.disk or "/")).percent)

    def series(self, minutes: int) -> dict[str, list[dict[str, Any]]]:
        """Return the points of the last `minutes` by metric, oldest first."""
        since = self.processor.clock.now() - minutes * SECONDS
        found: dict[str, list[dict[str, Any]]] = {}
        for sample in self._ring:
            if sample.at >= since:
                for name, value in sample.values.items():
                    found.setdefault(name, []).append({"timestamp": moment(sample.at), "value": value})
        return found

    def rate(self, name: str) -> float:
        """Return by how much per second a total grew over the last minute."""
        since = self.processor.clock.now() - SECONDS - INTERVAL
        points = [sample for sample in self._ring if sample.at >= since]
        if len(points) < 2 or points[-1].at <= points[0].at:
            return 0.0
        return (points[-1].values[name] - points[0].values[name]) / (points[-1].at - points[0].at)


def summary(points: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return count, least, greatest and mean of points, of which there is at least one."""
    values = [point["value"] for point in points]
    least, greatest = min(values), max(values)
    # The mean of equal floats may miss them by a rounding.
    mean = min(max(statistics.fmean(values), least), greatest)
    return {"count": len(values), "min": least, "max": greatest, "avg": mean}
