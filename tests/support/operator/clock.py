"""A clock that stands until it is moved, for everything of the operator that takes one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class HeldClock:
    """Wall clock and monotonic seconds, moved together."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self._epoch = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(seconds=self.seconds)

    def now(self) -> datetime:
        return self._epoch + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def forward(self, seconds: float) -> None:
        self.seconds += seconds
