"""A store across a network: bounded calls, and a heartbeat that says whether it is there. Called by Redis and MongoDB.

A heartbeat that gets no answer ends every call that is under way, and until one is answered again every call fails at
once. So nobody waits for a store that is away, however many calls there are, and nothing piles up (service.md,
"Errors": 503 within 2 s). A store that is there and busy is waited for: what it has begun cannot be taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from kato_service.processor.errors import StoreUnavailable
from kato_service.processor.ports import StoreUsage
from kato_spec.errors import Rejected

BEAT_SECONDS = 0.4  # between two heartbeats
ANSWER_SECONDS = 1.0  # in which a heartbeat is answered; with the one above less than the 2 s of service.md
CALL_ANSWERS = 5.0  # a call to a store that gives signs of life may take as long as this many of them
LOOKS = 5  # after the answer to a heartbeat: a process that comes late to them gives the store that much longer
SAID_CHARACTERS = 200  # of what a driver says; some of it is long
Result = TypeVar("Result")
log = structlog.get_logger()


class Remote:
    """What stands between a store's methods and its driver.

    `ping` asks the store for a sign of life, which comes within `seconds`, `reset` drops the connections, `errors` are
    the driver's exceptions that tell of a store that cannot serve.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        *,
        ping: Callable[[], Awaitable[object]],
        reset: Callable[[], Awaitable[object]],
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._name, self._seconds, self._ping, self._reset = name, seconds, ping, reset
        self._errors: tuple[type[Exception], ...] = (*errors, OSError)
        self._away: str | None = None
        self._heard = 0.0
        self._under_way: set[asyncio.Timeout] = set()
        self._doubt = asyncio.Event()
        self._heart: asyncio.Task[None] | None = None

    async def call(self, work: Callable[[], Awaitable[Result]], seconds: float = 0.0) -> Result:
        """Return what `work` returns, at the latest after `seconds` where it may take longer than other calls.

        Raises:
            StoreUnavailable: the store is away, refuses to serve, or has not answered in time.
        """
        if self._heart is None:
            self._heart = asyncio.create_task(self._beat())
        self.check()
        try:
            async with asyncio.timeout(max(seconds, CALL_ANSWERS * self._seconds)) as limit:
                self._under_way.add(limit)
                try:
                    result = await work()
                finally:
                    self._under_way.discard(limit)
        except self._errors as error:  # asyncio's TimeoutError is an OSError
            self._doubt.set()
            raise StoreUnavailable(self._away or self._said(error, "no answer in time")) from error
        self._heard = asyncio.get_running_loop().time()
        return result

    def check(self) -> None:
        """Raise StoreUnavailable where the last heartbeat got no answer; the store is not asked."""
        if self._away is not None:
            raise StoreUnavailable(self._away)

    def usage(self, limit: int) -> StoreUsage:
        """Return how it is used at this moment by calls that may have `limit` connections."""
        calls = len(self._under_way)
        in_use = min(calls, limit)
        return StoreUsage(self._name.lower(), in_use, in_use, calls - in_use, limit)

    async def close(self) -> None:
        """Stop the heartbeat."""
        if self._heart is not None:
            self._heart.cancel()
            with suppress(asyncio.CancelledError):
                await self._heart

    async def _beat(self) -> None:
        while True:
            trouble = await self._trouble()
            if trouble is None and self._away is not None:
                log.info("store_returned", store=self._name)
                self._away = None
            elif trouble is not None and self._away is None:
                log.warning("store_away", store=self._name, error=trouble)
                self._away = trouble
                await self._let_go()
            self._doubt.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._doubt.wait()

    async def _trouble(self) -> str | None:
        """Ask for a sign of life; return None when it came, else what came instead."""
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._answered()
            except self._errors as error:
                if isinstance(error, TimeoutError) and self._heard > started:
                    continue
                return self._said(error, "no sign of life in time")
            except Rejected:  # an answer: whoever calls hears of it
                return None
            return None

    async def _answered(self) -> None:
        """Return when one heartbeat is answered.

        Time alone would tell of this process too, which may have had no turn to hear what came: so it is looked for
        several times, and each time whatever has come by then is heard first.

        Raises:
            TimeoutError: it is not, at the last look.
        """
        asked = asyncio.ensure_future(self._ping())
        try:
            for _ in range(LOOKS):
                await asyncio.wait({asked}, timeout=self._seconds / LOOKS)
                if asked.done():
                    await asked
                    return
            raise TimeoutError
        finally:
            asked.cancel()
            await asyncio.wait({asked})

    async def _let_go(self) -> None:
        """End what waits for the store, and drop the connections: none of them can be trusted."""
        now = asyncio.get_running_loop().time()
        for limit in self._under_way:
            if not limit.expired():
                limit.reschedule(now)
        with suppress(*self._errors):
            async with asyncio.timeout(self._seconds):
                await self._reset()

    def _said(self, error: Exception, silence: str) -> str:
        said = str(error) or silence
        return f"{self._name} cannot serve: {said[:SAID_CHARACTERS]}"
