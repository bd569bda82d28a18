"""This replica among those that share its stores: it wakes the others, hears them, and looks for what it missed.

Run by the processor for as long as it serves. What is heard is only a hint of where to look: the log, the live
parameters and the declarations are read from the stores (service.md, "Replicas"). Events alone come whole: they are
for listeners and kept nowhere.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from kato_service.processor import background
from kato_service.processor.errors import StoreUnavailable
from kato_service.processor.events import WAITING, Event, Events
from kato_service.processor.library import Library
from kato_service.processor.ports import Wakeups

LISTEN_AGAIN_SECONDS = 0.5
AGAIN_SECONDS = 1.0  # until what a store that was away has kept from being done is tried again
FOLLOW_TRIES = 30  # for one entry; after that the look below finds it
LOOK_SECONDS = 30.0  # between two looks at every log, should a message have been lost
FAREWELL_SECONDS = 2.0  # in which what is to be told is told when this replica ends
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Message:
    """What a replica tells the others. Without anything of it, it asks to look, as the operator's `{}` does."""

    origin: str = ""
    learned: Mapping[str, int] | None = None
    events: Sequence[Event] = ()


MESSAGE = TypeAdapter(Message)


class Replicas:
    """`look` reads what the operator may have changed, `origin` is this replica's own name in what all of them hear."""

    def __init__(
        self,
        wakeups: Wakeups,
        library: Callable[[], Library],
        look: Callable[[], Awaitable[None]],
        events: Events,
        origin: str,
    ) -> None:
        self._wakeups, self._library, self._look, self._events = wakeups, library, look, events
        self._origin = origin
        self._told: dict[str, int] = {}
        self._happened: deque[Event] = deque(maxlen=WAITING)
        self._telling: asyncio.Task[Any] | None = None
        self._wanted: dict[str, int] = {}
        self._missed = asyncio.Event()
        self._listened = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def learned(self, node: str, seq: int) -> None:
        """Tell the others that entry `seq` of `node` is in the log."""
        self._told[node] = seq
        self._tell_soon()

    def happened(self, event: Event) -> None:
        """Tell the others' listeners what only this replica knows."""
        self._happened.append(event)
        self._tell_soon()

    def changed(self) -> None:
        """Tell the others to look at parameters and declarations."""
        self._spawn(self._quietly(self._publish(Message(self._origin))))

    def start(self) -> None:
        """Begin to listen."""
        self._spawn(self._listen_for_ever())
        self._spawn(self._look_for_ever())

    async def stop(self) -> None:
        """Stop listening; what is to be told is told, if the store is there."""
        if self._telling is not None:
            await asyncio.wait([self._telling], timeout=FAREWELL_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell_soon(self) -> None:
        if self._telling is None or self._telling.done():
            self._telling = self._spawn(self._tell())

    async def _tell(self) -> None:
        """Send what there is to tell: all that came while the last message was on its way goes into one.

        What cannot be sent is tried again; of many events the newest remain.
        """
        while self._told or self._happened:
            told, self._told = self._told, {}
            happened = tuple(self._happened)
            self._happened.clear()
            try:
                await self._publish(Message(self._origin, told, happened))
            except StoreUnavailable as error:
                log.warning("wakeup_failed", error=str(error))
                self._told = told | self._told
                self._happened = deque((*happened, *self._happened), maxlen=WAITING)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _publish(self, message: Message) -> None:
        await self._wakeups.publish(MESSAGE.dump_json(message))

    async def _listen_for_ever(self) -> None:
        while True:
            await background.attempt("listening", self._listen())
            await asyncio.sleep(LISTEN_AGAIN_SECONDS)

    async def _listen(self) -> None:
        async for message in self._wakeups.messages():
            if message is not None:
                await self._hear(message)
            else:
                self._missed.set()
                if self._listened:
                    self._events.missed()
                self._listened = True

    async def _hear(self, message: bytes) -> None:
        """Do what one message asks for: its events are told after what was learned before them."""
        try:
            heard = MESSAGE.validate_json(message)
        except ValidationError as error:
            log.warning("message_not_understood", error=str(error))
            return
        if heard.origin == self._origin:
            return
        if heard.learned is None:
            self._spawn(self._quietly(self._look()))
            return
        await asyncio.gather(*(self._follow(node, seq) for node, seq in heard.learned.items()))
        for event in heard.events:
            self._events.deliver(event)

    async def _follow(self, node: str, seq: int) -> None:
        """Take in entry `seq`; where that fails now, it is tried again while others are heard."""
        if node in self._wanted:
            self._wanted[node] = max(seq, self._wanted[node])
        elif not await self._followed(node, seq):
            self._wanted[node] = max(seq, self._wanted.get(node, 0))
            self._spawn(self._follow_again(node))

    async def _follow_again(self, node: str) -> None:
        for _ in range(FOLLOW_TRIES):
            await asyncio.sleep(AGAIN_SECONDS)
            seq = self._wanted[node]
            if await self._followed(node, seq) and self._wanted[node] == seq:
                break
        del self._wanted[node]

    async def _followed(self, node: str, seq: int) -> bool:
        return await self._quietly(self._library().follow(node, seq))

    async def _look_for_ever(self) -> None:
        """Read every log when messages were missed, and now and then."""
        seconds = LOOK_SECONDS
        while True:
            try:
                async with asyncio.timeout(seconds):
                    await self._missed.wait()
            except TimeoutError:
                log.debug("looking", after=seconds)
            self._missed.clear()
            seconds = LOOK_SECONDS if await self._quietly(self._library().catch_up()) else AGAIN_SECONDS

    async def _quietly(self, work: Awaitable[None]) -> bool:
        """Say whether it could be done; what could not is made up for later."""
        return await background.attempt("catching_up", work)

    def _spawn(self, work: Coroutine[None, None, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_failed", exc_info=error)
