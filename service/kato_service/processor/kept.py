"""The predictions last computed for each session, as bytes. Called by `predict`.

Kept in this process only, within a bound: whoever finds none, or those of other inputs, computes them. So it is of no
account what another replica has kept, nor that what a session leaves here that ended there is crowded out by others.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from kato_service.engine.model import Events
from kato_spec.parameters import Parameters

MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer of the engine, and all that it depends on."""

    seq: int
    stm: Events
    parameters: Parameters
    body: bytes


class KeptPredictions:
    """The newest answers, the oldest going first when they outgrow `max_bytes`."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.hits = 0
        self.misses = 0
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes

    def put(self, session_id: str, kept: Kept) -> None:
        """Keep `kept` as the last answer of the session."""
        self.forget(session_id)
        self._kept[session_id] = kept
        self._bytes += len(kept.body)
        while self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.body)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> tuple[int, int]:
        """The bytes that are kept, and the most that may be."""
        return self._bytes, self._max_bytes

    def count(self, *, hit: bool) -> None:
        """Count a question that was, or was not, answered from here."""
        self.hits, self.misses = self.hits + hit, self.misses + (not hit)

    def get(self, session_id: str) -> Kept | None:
        """Return the session's last answer, or None."""
        return self._kept.get(session_id)

    def forget(self, session_id: str) -> None:
        """Drop what is kept for the session."""
        if found := self._kept.pop(session_id, None):
            self._bytes -= len(found.body)
