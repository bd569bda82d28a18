"""What is seen of the cluster, turned into keys to look at.

Called by `handlers` with every watch event and by `resync` with what the watches may have missed. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kato_operator.desired.kinds import PROCESSOR, SESSION, WATCHED, Kind, Manifest
from kato_operator.reconcile.cache import Cache, place_of, processor_of
from kato_operator.reconcile.ports import Key


class Add(Protocol):
    """Have a key looked at, after some seconds at the latest."""

    def __call__(self, key: Key, after: float = 0.0) -> None:
        """Add `key` to the queue."""
        ...


class Feed:
    """The cache, and who is to be told of its changes; `watched` is called with the kind of every event.

    `listed` holds the kinds whose watch may have begun anew: what went before that is in no event. What breaks off one
    watch breaks off all, and a kind of which nothing is left shows none: so one that began anew stands for every kind.
    """

    def __init__(self, cache: Cache, add: Add, watched: Callable[[Kind], None]) -> None:
        self._cache = cache
        self._add = add
        self._watched = watched
        self.listed: set[Kind] = set()

    def event(self, kind: Kind, manifest: Manifest, *, gone: bool, listed: bool = False) -> None:
        """Take one watch event."""
        self._watched(kind)
        if listed:
            self.listed.update(WATCHED)
        self.seen(kind, manifest, gone=gone)

    def seen(self, kind: Kind, manifest: Manifest, *, gone: bool) -> None:
        """Take the state of one object; what was known already, such as our own writes, wakes no one."""
        news = self._cache.remove(kind, manifest) if gone else self._cache.put(kind, manifest)
        if not news:
            return
        namespace, name = place_of(manifest)
        if kind in (PROCESSOR, SESSION):
            self._add(Key(kind.name, namespace, name))
        if kind is PROCESSOR:
            self._wake_sessions(namespace, name)
        elif owner := processor_of(kind, manifest):
            self._wake_owner(kind, namespace, owner, gone=gone)

    def _wake_owner(self, kind: Kind, namespace: str, owner: str, *, gone: bool) -> None:
        """Look at the processor of a child that changed, or of a session that is gone and must be withdrawn."""
        if kind is not SESSION or gone:
            self._add(Key(PROCESSOR.name, namespace, owner))

    def _wake_sessions(self, namespace: str, processor: str) -> None:
        """Look at every session of a processor."""
        for session in self._cache.of_processor(SESSION, namespace, processor):
            self._add(Key(SESSION.name, *place_of(session)))
