"""The workers: take a key that is due, run its story, and say when to look again.

Started by the composition root. Here alone an error becomes a decision: a `Transient` one is tried again, with
back-off and jitter; any other one too, for a fault of ours must not stop the rest, and is logged with its trace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Literal

import structlog

from kato_operator.reconcile.ports import Clock, Conflict, Key
from kato_operator.reconcile.queue import WorkQueue
from kato_spec.errors import Transient

Outcome = Literal["ok", "transient", "error"]
Story = Callable[[Key], Awaitable[float | None]]
Observe = Callable[[Key, Outcome, float], None]

TIME_LIMIT: Final = 60.0

log = structlog.get_logger()


class Workers:
    """At most `limit` stories at a time, one a key.

    `story` returns after how many seconds to look again, or None; `observe` is told of each end and its seconds.
    """

    def __init__(self, queue: WorkQueue, story: Story, clock: Clock, *, limit: int, observe: Observe) -> None:
        self._queue = queue
        self._story = story
        self._clock = clock
        self._limit = limit
        self._observe = observe
        self._running: set[asyncio.Task[float | None]] = set()
        self._wake = asyncio.Event()

    def add(self, key: Key, after: float = 0.0) -> None:
        """Have `key` looked at after `after` seconds at the latest."""
        self._queue.add(key, self._clock.monotonic() + after)
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled; what is being worked on is then cancelled too."""
        try:
            while True:
                self._start_due()
                await self._until_due()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _start_due(self) -> None:
        """Start the stories of what is due, as far as workers are free."""
        while len(self._running) < self._limit:
            key = self._queue.take(self._clock.monotonic())
            if key is None:
                return
            task = asyncio.create_task(self._tell(key), name=str(key))
            self._running.add(task)
            started = self._clock.monotonic()
            task.add_done_callback(partial(self._ended, key, started))

    async def _tell(self, key: Key) -> float | None:
        """Run the story of `key`, within the time limit."""
        async with asyncio.timeout(TIME_LIMIT):
            return await self._story(key)

    async def _until_due(self) -> None:
        """Wait until something is added, a story ends or a key is due."""
        due = self._queue.next_due() if len(self._running) < self._limit else None
        wait = None if due is None else max(0.0, due - self._clock.monotonic())
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _ended(self, key: Key, started: float, task: asyncio.Task[float | None]) -> None:
        """Decide when to look at `key` again."""
        self._running.discard(task)
        self._wake.set()
        if task.cancelled():
            self._queue.done(key)
            return
        now = self._clock.monotonic()
        error = task.exception()
        if error is None:
            again = task.result()
            self._queue.done(key, None if again is None else now + again)
        else:
            self._failed(key, error, now)
        self._observe(key, _outcome(error), now - started)

    def _failed(self, key: Key, error: BaseException, now: float) -> None:
        """Back off, and say why."""
        least = error.retry_after if isinstance(error, Transient) else 0.0
        wait = self._queue.failed(key, now, least)
        expected = isinstance(error, Transient | TimeoutError)
        trace = None if expected else error
        tell = log.debug if isinstance(error, Conflict) else log.warning
        tell("try again", key=str(key), error=str(error) or type(error).__name__, after=wait, exc_info=trace)


def _outcome(error: BaseException | None) -> Outcome:
    """Return what a story's end is counted as."""
    if error is None or isinstance(error, Conflict):
        return "ok"
    return "transient" if isinstance(error, Transient | TimeoutError) else "error"
