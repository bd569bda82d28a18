"""The clock of the machine, for everything that takes one."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Wall clock in UTC, and seconds that never go back."""

    def now(self) -> datetime:
        """See `kato_operator.reconcile.ports.Clock`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See `kato_operator.reconcile.ports.Clock`."""
        return time.monotonic()
