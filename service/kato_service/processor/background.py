"""What a process does beside its requests, again and again until it ends. Called by all that runs such work.

A store that is away is a warning, anything else a defect: it is told at once with its traceback, and the next round is
run all the same, as a process that no longer sweeps or listens serves on and looks well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

import structlog

from kato_spec.errors import KatoError

log = structlog.get_logger()


async def attempt(name: str, work: Awaitable[object]) -> bool:
    """Do `work` and say whether it could be done; if not, `<name>_failed` is logged."""
    try:
        await work
    except KatoError as error:
        log.warning(f"{name}_failed", error=str(error))
    except Exception:
        log.exception(f"{name}_failed")
    else:
        return True
    return False


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task and return when it has ended.

    Raises: what it had failed by before.
    """
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
