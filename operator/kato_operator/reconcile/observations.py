"""What the pods said last: one look at a time per processor, shared by everyone who wants to know.

Used by the stories. Kept in memory alone: after a restart the pods are asked anew. A thousand sessions that are due at
once cost one request (spec: operator.md, KatoSession, "one expiry heap that re-reads the session").
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kato_operator.reconcile.ports import Clock, Key, PodAddress, Sessions, StoreAway
from kato_operator.status.observed import Sight
from kato_spec.errors import Rejected, Transient
from kato_spec.records import DeclaredSession


@dataclass(frozen=True, slots=True)
class Look:
    """What every ready pod of a processor said, asked at `at` (monotonic seconds).

    `sessions`: what is known of each declaration, by UID; what a declaration is answered with is taken in later.
    `silences`: how many looks in a row at these same pods found none that answered, this one included.
    """

    at: float
    pods: frozenset[str]
    sights: Sequence[Sight]
    sessions: dict[str, DeclaredSession]
    silences: int = 0

    @property
    def answered(self) -> bool:
        """Whether any pod could be asked."""
        return any(sight.state is not None for sight in self.sights)


@dataclass(slots=True)
class _Place:
    """What is kept of one processor."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    look: Look | None = None


class Observations:
    """The last look at each processor; `told` is called with every new one and the one before it."""

    def __init__(self, sessions: Sessions, clock: Clock, told: Callable[[Key, Look | None, Look], None]) -> None:
        self._sessions = sessions
        self._clock = clock
        self._told = told
        self._places: defaultdict[Key, _Place] = defaultdict(_Place)

    def last(self, processor: Key) -> Look | None:
        """Return the last look, or None when there was none."""
        place = self._places.get(processor)
        return place.look if place else None

    def forget(self, processor: Key) -> None:
        """Keep nothing of a processor that is gone."""
        self._places.pop(processor, None)

    async def look(self, processor: Key, pods: Sequence[PodAddress], *, not_before: float) -> Look:
        """Ask `pods`, unless they were asked at `not_before` or later."""
        place = self._places[processor]
        uids = frozenset(pod.uid for pod in pods)
        async with place.lock:
            if place.look is None or place.look.at < not_before or place.look.pods != uids:
                at = self._clock.monotonic()
                sights = await asyncio.gather(*(self.sight(pod) for pod in pods))
                before = place.look
                place.look = Look(at, uids, sights, _declared(sights), _silences(uids, sights, before))
                self._told(processor, before, place.look)
            return place.look

    async def sight(self, pod: PodAddress) -> Sight:
        """Ask one pod; that it does not answer is an observation too."""
        try:
            return Sight(pod.name, await self._sessions.state(pod))
        except StoreAway as error:
            return Sight(pod.name, None, str(error), store=error.store)
        except (Transient, Rejected) as error:
            return Sight(pod.name, None, str(error))


def _silences(pods: frozenset[str], sights: Sequence[Sight], before: Look | None) -> int:
    """Return how many looks in a row at `pods` found none that answered; that its store is away is an answer."""
    if any(sight.state is not None or sight.store for sight in sights):
        return 0
    return 1 + (before.silences if before is not None and before.pods == pods else 0)


def _declared(sights: Sequence[Sight]) -> dict[str, DeclaredSession]:
    """Return what the pods know of declarations, by UID."""
    return {declared.uid: declared for sight in sights if sight.state for declared in sight.state.declared}
