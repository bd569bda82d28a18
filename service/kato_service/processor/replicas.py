"""This replica among those that share its stores: it wakes the others, hears them, and looks for what it missed.

Run by the processor for as long as it serves. What is heard is only a hint of where to look: the log, the live
parameters and the declarations are read from the stores (service.md, "Replicas").
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import orjson
import structlog

from kato_service.processor.errors import StoreUnavailable
from kato_service.processor.library import Library
from kato_service.processor.ports import Wakeups

LISTEN_AGAIN_SECONDS = 0.5
LOOK_SECONDS = 30.0  # between two looks at every log, should a message have been lost
log = structlog.get_logger()


class Replicas:
    """`look` reads what the operator may have changed."""

    def __init__(self, wakeups: Wakeups, library: Callable[[], Library], look: Callable[[], Awaitable[None]]) -> None:
        self._wakeups, self._library, self._look = wakeups, library, look
        self._told: dict[str, int] = {}
        self._telling: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def learned(self, node: str, seq: int) -> None:
        """Tell the others that entry `seq` of `node` is in the log."""
        self._told[node] = seq
        if self._telling is None or self._telling.done():
            self._telling = self._spawn(self._tell())

    def changed(self) -> None:
        """Tell the others to look at parameters and declarations."""
        self._spawn(self._publish({}))

    def start(self) -> None:
        """Begin to listen."""
        self._spawn(self._listen_for_ever())
        self._spawn(self._look_for_ever())

    async def stop(self) -> None:
        """Stop listening; what is to be told is told."""
        if self._telling is not None:
            await asyncio.wait([self._telling])
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tell(self) -> None:
        """Send what there is to tell: all that came while the last message was on its way goes into one."""
        while self._told:
            told, self._told = self._told, {}
            await self._publish({"learned": told})

    async def _publish(self, message: dict[str, Any]) -> None:
        try:
            await self._wakeups.publish(orjson.dumps(message))
        except StoreUnavailable as error:
            log.warning("wakeup_failed", error=str(error))

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                async for message in self._wakeups.messages():
                    if message is None:
                        self._spawn(self._quietly(self._library().catch_up()))
                    else:
                        self._hear(message)
            except StoreUnavailable as error:
                log.warning("listening_failed", error=str(error))
            await asyncio.sleep(LISTEN_AGAIN_SECONDS)

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._quietly(self._library().catch_up())

    def _hear(self, message: bytes) -> None:
        try:
            heard = orjson.loads(message)
            learned = {str(node): int(seq) for node, seq in heard.get("learned", {}).items()}
        except (ValueError, AttributeError, TypeError) as error:
            log.warning("message_not_understood", error=str(error))
            return
        for node, seq in learned.items():
            self._spawn(self._quietly(self._library().follow(node, seq)))
        if not learned:
            self._spawn(self._quietly(self._look()))

    async def _quietly(self, work: Awaitable[None]) -> None:
        """Do what will be made up for later when the store is away now."""
        try:
            await work
        except StoreUnavailable as error:
            log.warning("catching_up_failed", error=str(error))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
