"""The sessions last read or written, so that a busy one is not read again. Called by `sqlite_sessions`.

Right only where one process owns the store, as the data directory's lock sees to, and where reads and writes reach
the file in the order in which they began, as `Database` sees to.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kato_service.processor.model import Session

MAX_BYTES = 16 * 1024 * 1024
MEMORY = 8  # bytes in memory for each as stored: a long short-term memory takes that, an idle session half of it
Keep = Callable[[Session, int], None]


class RecentSessions:
    """Sessions that take at most `max_bytes` of memory, the one longest unused going first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._sessions: OrderedDict[str, tuple[Session, int]] = OrderedDict()
        self._accesses: dict[str, object] = {}
        self._max_bytes = max_bytes
        self._bytes = 0

    def get(self, session_id: str) -> Session | None:
        """Return the session if it is among them."""
        found = self._sessions.get(session_id)
        if found is None:
            return None
        self._sessions.move_to_end(session_id)
        return found[0]

    @contextmanager
    def access(self, session_id: str) -> Iterator[Keep]:
        """Forget the session while it is read from the file or written to it.

        What it turns out to be is handed over with its size in bytes as stored, and kept unless another read or write
        of it has begun in the meantime: then only that one knows what the file holds.
        """
        access = self._accesses[session_id] = object()
        self.drop(session_id)

        def keep(session: Session, size: int) -> None:
            if self._accesses.get(session_id) is access:
                self._put(session, size)

        try:
            yield keep
        finally:
            if self._accesses.get(session_id) is access:
                del self._accesses[session_id]

    def drop(self, session_id: str) -> None:
        """Forget the session."""
        _, size = self._sessions.pop(session_id, (None, 0))
        self._bytes -= size

    def _put(self, session: Session, size: int) -> None:
        self.drop(session.id)
        memory = size * MEMORY
        if memory > self._max_bytes:
            return
        self._sessions[session.id] = (session, memory)
        self._bytes += memory
        while self._bytes > self._max_bytes:
            self.drop(next(iter(self._sessions)))
