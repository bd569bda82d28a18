"""Waiting for what comes true by itself, without a bare sleep: used by every test that watches another process."""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

# How long some process has waited for a CPU, or for a disk, so far (Linux, pressure stall information).
PRESSURE: Final = (Path("/proc/pressure/cpu"), Path("/proc/pressure/io"))
STRETCH: Final = 3.0
ROOM: Final = 4.0  # seconds: on a busy machine even a promise of no work at all has so much


class Deadline:
    """An end of waiting: `timeout` seconds of the clock, or `promised` seconds of a machine that is not overloaded.

    A promise is kept by an idle machine. Time in which processes had to wait for a CPU or a disk does not count, until
    the promise is stretched threefold, or by `ROOM`; where the kernel does not tell, it may be stretched at once.
    """

    def __init__(self, timeout: float, promised: float | None) -> None:
        self.seconds = timeout if promised is None else promised
        self._room = 0.0 if promised is None else max((STRETCH - 1) * promised, ROOM)
        self._began, self._stalls = time.monotonic(), stalled()

    def over(self) -> bool:
        """Say whether the wait has been long enough."""
        lost = min(max(map(operator.sub, stalled(), self._stalls)), self._room)
        return time.monotonic() - self._began - lost > self.seconds

    def failure(self, found: object) -> AssertionError:
        """Return the failure to raise when it is over."""
        return AssertionError(
            f"still {found!r} after {time.monotonic() - self._began:.1f} s, wanted in {self.seconds:g} s"
        )


def stalled() -> list[float]:
    """Return for how many seconds so far some process waited for each; all of them where the kernel does not count."""
    try:
        some = [path.read_text().splitlines()[0] for path in PRESSURE]
    except OSError:
        return [time.monotonic()]
    return [int(line.rpartition("total=")[2]) / 1e6 for line in some]


def eventually(
    check: Callable[[], T], *, timeout: float = 10.0, promised: float | None = None, interval: float = 0.05
) -> T:
    """Call `check` until it returns something true, and return that; fail in the end with what it said.

    `timeout` is a ceiling that says nothing of the product, `promised` (instead) what the product promises; in seconds.
    """
    deadline = Deadline(timeout, promised)
    while True:
        found = check()
        if found:
            return found
        if deadline.over():
            raise deadline.failure(found)
        time.sleep(interval)


async def eventually_async(
    check: Callable[[], Awaitable[T]],
    *,
    timeout: float = 10.0,  # noqa: ASYNC109 - of the whole wait, not of one call
    interval: float = 0.05,
) -> T:
    """Do the same for a check that must be awaited."""
    deadline = Deadline(timeout, None)
    while True:
        found = await check()
        if found:
            return found
        if deadline.over():
            raise deadline.failure(found)
        await asyncio.sleep(interval)
