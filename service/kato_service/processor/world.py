"""The real clock and the real ids. Called by the composition root; tests bring their own."""

from __future__ import annotations

import secrets
import time

ID_BYTES = 18  # 144 random bits; service.md asks for at least 128
VERSION_BYTES = 9


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()


class RandomIds:
    """Ids from the system's random source."""

    def __init__(self, processor_id: str) -> None:
        self._prefix = processor_id

    def session(self) -> str:
        """Return `<processor_id>.<144 random bits, URL-safe>`, so that a gateway can route it."""
        return f"{self._prefix}.{secrets.token_urlsafe(ID_BYTES)}"

    def version(self) -> str:
        """Return 72 random bits, URL-safe."""
        return secrets.token_urlsafe(VERSION_BYTES)
