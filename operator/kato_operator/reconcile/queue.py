"""The keyed work queue: what is to be looked at next, and not before when.

Fed by watch events, by resyncs and by the stories themselves; emptied by `workers`. A key is handed out to one worker
at a time; what is added meanwhile is looked at again afterwards, so that no change goes unseen (spec: operator.md,
"Level-triggered"). Time comes in as an argument: the queue has no clock and never waits.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from kato_operator.reconcile.ports import Key

FIRST_BACK_OFF = 0.5
LONGEST_BACK_OFF = 30.0


class WorkQueue:
    """Keys and when each is due, in seconds of a monotonic clock; `jitter` yields factors around 1."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()
        self._working: set[Key] = set()
        self._failures: dict[Key, int] = {}

    def __len__(self) -> int:
        """Return how many keys are waiting or being worked on."""
        return len(self._due.keys() | self._working)

    def add(self, key: Key, at: float) -> None:
        """Have `key` looked at no later than `at`; an earlier time stands."""
        due = self._due.get(key)
        if due is not None and due <= at:
            return
        self._due[key] = at
        if key not in self._working:
            heapq.heappush(self._heap, (at, next(self._order), key))

    def take(self, now: float) -> Key | None:
        """Return a key that is due and mark it as being worked on, or None; longest due first."""
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if key not in self._working and self._due.get(key) == at:
                del self._due[key]
                self._working.add(key)
                return key
        return None

    def done(self, key: Key, again_at: float | None = None) -> None:
        """Say that the work on `key` went well; look at it again at `again_at`, if at all."""
        self._failures.pop(key, None)
        self._release(key, again_at)

    def failed(self, key: Key, now: float, least: float = 0.0) -> float:
        """Say that the work on `key` failed; return after how many seconds, at least `least`, it is tried again."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        wait = max(least, min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** min(failures, 16)) * self._jitter())
        self._release(key, now + wait)
        return wait

    def _release(self, key: Key, again_at: float | None) -> None:
        """Put a key back, at the earlier of what was added meanwhile and `again_at`."""
        self._working.discard(key)
        times = [at for at in (self._due.pop(key, None), again_at) if at is not None]
        if times:
            self.add(key, min(times))

    def next_due(self) -> float | None:
        """Return when the next key that no one works on is due, or None when there is none."""
        while self._heap:
            at, _, key = self._heap[0]
            if key not in self._working and self._due.get(key) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def depth(self, now: float) -> int:
        """Return how many keys are due and wait for a worker."""
        return sum(at <= now for key, at in self._due.items() if key not in self._working)

    def lag(self, now: float) -> float:
        """Return for how long the longest due key has waited for a worker, in seconds."""
        at = self.next_due()
        return 0.0 if at is None else max(0.0, now - at)
