"""What happens on a processor, told to whoever listens. Published by its parts, read by the API's WebSocket.

A listener that does not keep up is dropped and told so; nobody waits for it. On several replicas each tells what it
has found in the stores itself, and passes the rest on through `relay` (spec: service.md, WS /ws/events).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from kato_service.processor.ports import Clock

WAITING = 1000  # events that a listener may be behind
SNAPSHOT: Literal["state.snapshot"] = "state.snapshot"
Kind = Literal[
    "session.created",
    "session.destroyed",
    "session.at_rest",
    "pattern.learned",
    "parameters.changed",
    "state.snapshot",
]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, at seconds since the epoch. A snapshot has no data: the one who shows it takes it."""

    kind: Kind
    at: float
    data: Mapping[str, Any]


class Listener:
    """One who listens: events in order, then None for ever when it has fallen behind."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Event | None] = asyncio.Queue(WAITING + 1)
        self._behind = False

    async def next(self) -> Event | None:
        """Return the next event, None when some were missed."""
        return await self._waiting.get()

    def put(self, event: Event) -> None:
        """Let the listener have `event`."""
        if self._behind:
            return
        self._behind = self._waiting.qsize() >= WAITING
        self._waiting.put_nowait(None if self._behind else event)


class Events:
    """The listeners of this replica. `relay`, where it is set, tells the other replicas what only this one knows."""

    def __init__(self, clock: Clock) -> None:
        self.relay: Callable[[Event], None] | None = None
        self._clock = clock
        self._listeners: set[Listener] = set()

    @property
    def listeners(self) -> int:
        """How many listen here."""
        return len(self._listeners)

    def publish(self, kind: Kind, data: Mapping[str, Any]) -> None:
        """Tell what happened here and the other replicas cannot know by themselves."""
        event = Event(kind, self._clock.now(), data)
        self.deliver(event)
        if self.relay:
            self.relay(event)

    def publish_here(self, kind: Kind, data: Mapping[str, Any]) -> None:
        """Tell what every replica finds out by itself."""
        if self._listeners:
            self.deliver(Event(kind, self._clock.now(), data))

    def deliver(self, event: Event) -> None:
        """Let the listeners of this replica have `event`, wherever it happened."""
        for listener in self._listeners:
            listener.put(event)

    def missed(self) -> None:
        """Have the listeners look at how all stands now: the others may have told what was not heard here."""
        self.publish_here(SNAPSHOT, {})

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """Listen until the end of the block."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
