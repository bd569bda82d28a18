"""Wait for something to become true, instead of sleeping and hoping: used by every test that watches another process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], timeout: float = 10.0, interval: float = 0.05) -> T:
    """Call `check` until it returns something true and return that.

    An AssertionError of `check` counts as "not yet". After `timeout` seconds the last one is raised, or an
    AssertionError that shows the last value. `interval` is the pause between two calls, in seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = check()
        except AssertionError:
            if time.monotonic() >= deadline:
                raise
        else:
            if value:
                return value
            if time.monotonic() >= deadline:
                raise AssertionError(f"not true after {timeout} s: {check!r} gave {value!r}")
        time.sleep(interval)


async def eventually_async(check: Callable[[], Awaitable[T]], timeout: float = 10.0, interval: float = 0.05) -> T:  # noqa: ASYNC109 - the same shape as `eventually`
    """Do what `eventually` does for a coroutine function, without blocking the loop."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = await check()
        except AssertionError:
            if time.monotonic() >= deadline:
                raise
        else:
            if value:
                return value
            if time.monotonic() >= deadline:
                raise AssertionError(f"not true after {timeout} s: {check!r} gave {value!r}")
        await asyncio.sleep(interval)
