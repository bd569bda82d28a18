"""The sessions last read or written, so that a busy one is not read again. Called by `sqlite_sessions`.

Right only where one process owns the store, as the data directory's lock sees to.
"""

from __future__ import annotations

from collections import OrderedDict

from kato_service.processor.model import Session

KEPT = 4096


class RecentSessions:
    """At most `kept` sessions, the one longest unused going first."""

    def __init__(self, kept: int = KEPT) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._kept = kept

    def get(self, session_id: str) -> Session | None:
        """Return the session if it is among them."""
        found = self._sessions.get(session_id)
        if found is not None:
            self._sessions.move_to_end(session_id)
        return found

    def put(self, session: Session) -> Session:
        """Take the session in, and return it."""
        self._sessions[session.id] = session
        self._sessions.move_to_end(session.id)
        if len(self._sessions) > self._kept:
            self._sessions.popitem(last=False)
        return session

    def drop(self, session_id: str) -> Session | None:
        """Forget the session, before a write to it whose outcome is not known yet; return it if it was there."""
        return self._sessions.pop(session_id, None)
