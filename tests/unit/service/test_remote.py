"""A store across a network: one that is away is not waited for, one that is busy is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from kato_service.processor.errors import StoreUnavailable, UnsupportedSchema
from kato_service.stores import remote as remote_module
from kato_service.stores.remote import Remote

SECONDS = 0.5
TURNS = 6  # of the event loop, from a heartbeat to its answer: about as many as a driver needs


class Server:
    """Counts how often it is asked and its signs of life; gives none while it is `away` or `newer` than the service."""

    def __init__(self) -> None:
        self.asked = self.signs = 0
        self.newer = False
        self.away = asyncio.Event()
        self.resets = 0

    async def ping(self) -> None:
        self.asked += 1
        if self.newer:
            raise UnsupportedSchema("schema version", 99, "at most 2")
        if self.away.is_set():
            await asyncio.Event().wait()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        self.signs += 1

    async def reset(self) -> None:
        self.resets += 1

    async def until_asked(self, count: int) -> None:
        """Be busy until so many signs of life were asked for."""
        while self.asked < count:  # noqa: ASYNC110 - as below
            await asyncio.sleep(0.01)

    async def until_signs(self, count: int) -> str:
        """Be busy until so many signs of life were given."""
        while self.signs < count:  # noqa: ASYNC110 - what the heartbeat does is no event here
            await asyncio.sleep(0.01)
        return "done"


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def remote(server: Server) -> AsyncIterator[Remote]:
    made = Remote("Store", SECONDS, ping=server.ping, reset=server.reset, errors=())
    yield made
    await made.close()


async def test_a_store_that_is_busy_and_alive_is_waited_for(
    server: Server, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert remote_module.CALL_ANSWERS * SECONDS > 2  # room for four signs of life on an idle machine
    monkeypatch.setattr(remote_module, "CALL_ANSWERS", 100)
    assert await remote.call(lambda: server.until_signs(4)) == "done"  # 1.2 s: longer than a sign of life may take
    assert server.resets == 0


async def test_a_call_that_never_ends_does(server: Server, remote: Remote) -> None:
    with pytest.raises(StoreUnavailable, match="no answer in time"):
        await remote.call(asyncio.Event().wait)
    assert server.signs > 0
    assert await remote.call(lambda: server.until_signs(1)) == "done"


async def test_without_a_sign_of_life_whatever_waits_is_ended(server: Server, remote: Remote) -> None:
    await remote.call(lambda: server.until_signs(1))
    server.away.set()
    calls = [remote.call(asyncio.Event().wait) for _ in range(3)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [str(error) for error in found] == ["Store cannot serve: no sign of life in time"] * 3
    assert server.resets == 1
    with pytest.raises(StoreUnavailable, match="no sign of life"):
        await remote.call(lambda: server.until_signs(1))


async def test_a_process_that_has_no_turn_to_hear_the_answer_does_not_blame_the_store(
    server: Server, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_module, "CALL_ANSWERS", 100)
    await remote.call(lambda: server.until_signs(1))

    async def starve() -> str:
        while server.signs < 3:
            time.sleep(0.3 * SECONDS)  # noqa: ASYNC251 - the whole process stands still
            await asyncio.sleep(0)
        return "done"

    assert await remote.call(starve) == "done"
    assert server.resets == 0


async def test_a_store_that_refuses_is_there_and_its_heartbeat_goes_on(
    server: Server, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_module, "CALL_ANSWERS", 100)
    server.newer = True
    with pytest.raises(UnsupportedSchema):
        await remote.call(server.ping)
    await remote.call(lambda: server.until_asked(4))
    assert server.resets == 0
    server.newer = False
    await remote.call(lambda: server.until_signs(1))
    server.away.set()
    with pytest.raises(StoreUnavailable, match="no sign of life"):
        await remote.call(asyncio.Event().wait)
