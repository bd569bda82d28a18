"""A leader tries for its lease while there is time, and knows before its end that it is lost."""

from __future__ import annotations

import asyncio
import copy
from typing import Any, cast

import pytest

from kato_operator.clock import SystemClock
from kato_operator.cluster.lease import Election, lease_of
from kato_operator.cluster.rest import Rest
from kato_operator.reconcile.fence import Fence, NotLeader
from kato_spec.errors import Transient
from tests.support.eventually import eventually_async

SHORTEST = 3.0
PATIENCE = 60.0


class Server:
    """One Lease as the API server keeps it, which is never answered for while `away`, and refused while `failing`."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.away = self.failing = False
        self.asked = 0

    async def read(self, path: str) -> dict[str, Any] | None:
        self.asked += 1
        if self.failing:
            raise Transient("injected")
        if self.away:
            await asyncio.Event().wait()
        return copy.deepcopy(self.lease)

    async def write(self, method: str, path: str, body: dict[str, Any], *, time_left: float) -> None:
        self.lease = copy.deepcopy(body) | {"metadata": {"resourceVersion": str(self.asked)}}


async def elected(server: Server, seconds: float = SHORTEST) -> tuple[Election, Fence]:
    clock = SystemClock()
    fence = Fence(clock.monotonic)
    election = Election(cast(Rest, server), lease_of("here", "lease", "one", seconds), fence, clock)
    await election.win()
    return election, fence


@pytest.mark.parametrize("trouble", ["away", "failing"])
async def test_a_lease_that_cannot_be_renewed_is_given_up_before_its_end(trouble: str) -> None:
    server = Server()
    election, _ = await elected(server)
    setattr(server, trouble, True)
    before = server.asked
    with pytest.raises(NotLeader):
        await asyncio.wait_for(election.hold(), PATIENCE)
    assert 1 <= server.asked - before <= SHORTEST / election.retry_seconds
    assert not await election.release()


async def tried(server: Server, before: int) -> bool:
    return server.asked > before


async def extended(fence: Fence, left: float) -> bool:
    return fence.time_left() > left


async def test_a_lease_that_is_renewed_late_is_kept() -> None:
    server = Server()
    election, fence = await elected(server, seconds=15)
    holding = asyncio.create_task(election.hold())
    server.failing = True
    before = server.asked
    await eventually_async(lambda: tried(server, before), timeout=PATIENCE)
    left = fence.time_left()
    server.failing = False
    await eventually_async(lambda: extended(fence, left), timeout=PATIENCE)
    holding.cancel()
    assert await election.release()
    assert server.lease is not None
    assert server.lease["spec"]["holderIdentity"] == ""


async def test_a_lease_that_someone_took_is_lost_at_once() -> None:
    server = Server()
    election, _ = await elected(server)
    assert server.lease is not None
    server.lease["spec"]["holderIdentity"] = "two"
    with pytest.raises(NotLeader):
        await asyncio.wait_for(election.hold(), PATIENCE)
    assert not await election.release()
    assert server.lease["spec"]["holderIdentity"] == "two"
