"""MongoDB's driver may not be cancelled while it chooses a server; whoever waits for it may go all the same.

Nothing listens where these tests ask: the driver looks again every half a second until its time is up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kato_service.processor.errors import StoreUnavailable
from kato_service.stores.mongo_link import MongoLink
from tests.support.stores.server import free_port

CALLERS = 100
LOOKS_SECONDS = 0.5  # of the driver, between two looks for a server


@pytest.fixture
async def link() -> AsyncIterator[MongoLink]:
    made = MongoLink(f"mongodb://127.0.0.1:{free_port()}", "nowhere", seconds=3 * LOOKS_SECONDS)
    yield made
    await made.close()


async def test_whoever_is_cancelled_while_a_server_is_chosen_goes_and_holds_up_no_other(link: MongoLink) -> None:
    async def call(seconds: float) -> str:
        try:
            async with asyncio.timeout(seconds):
                await link.ping()
        except (TimeoutError, StoreUnavailable) as error:
            return type(error).__name__
        return "answered"

    calls = [asyncio.create_task(call(LOOKS_SECONDS + (turn - 25) / 2500)) for turn in range(CALLERS)]
    done, waiting = await asyncio.wait(calls, timeout=10)
    assert not waiting
    assert {each.result() for each in done} <= {"TimeoutError", "StoreUnavailable"}
    assert await asyncio.wait_for(call(10), 20) == "StoreUnavailable"
