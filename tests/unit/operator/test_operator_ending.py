"""An operator that is ending ends, also when something of it waits for ever."""

from __future__ import annotations

import subprocess
import sys

STUCK = """
import asyncio
from kato_operator.app import _end_within

async def stuck():
    _end_within(0.1)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

asyncio.run(stuck())
"""


def test_a_task_that_never_ends_holds_no_end_up() -> None:
    assert subprocess.run([sys.executable, "-c", STUCK], timeout=60, check=False).returncode == 1
