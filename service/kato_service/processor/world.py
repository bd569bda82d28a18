"""The real clock and the real ids. Called by the composition root; tests bring their own."""

from __future__ import annotations

import secrets
import time
from itertools import count

ID_BYTES = 18  # 144 random bits; service.md asks for at least 128
PROCESS_BYTES = 12


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()


class RandomIds:
    """Ids from the system's random source."""

    def __init__(self, processor_id: str) -> None:
        self._prefix = processor_id
        self._process = secrets.token_urlsafe(PROCESS_BYTES)
        self._versions = count(1)

    def session(self) -> str:
        """Return `<processor_id>.<144 random bits, URL-safe>`, so that a gateway can route it."""
        return f"{self._prefix}.{secrets.token_urlsafe(ID_BYTES)}"

    def version(self) -> str:
        """Return a number that this process has not used, behind 96 random bits that no other process has."""
        return f"{self._process}.{next(self._versions)}"
