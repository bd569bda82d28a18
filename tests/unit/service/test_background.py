"""A processor whose parts fail in a way nobody has thought of: what runs beside the requests goes on, all is closed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from kato_service.processor import processor as housekeeping
from kato_service.processor.model import Session
from kato_service.processor.ports import Entry, Fold
from kato_service.stores.memory import VolatileMemory, VolatileSessions
from kato_spec.records import ParametersRecord
from tests.support.eventually import eventually_async
from tests.support.processors import World, new_session


class FaultySessions(VolatileSessions):
    """Sessions of which one look at the parameters and one sweep fail when a fault is set."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, Exception] = {}
        self.closed = False

    async def parameters(self) -> ParametersRecord | None:
        self._fail("look")
        return await super().parameters()

    async def expire(self, now: float) -> Sequence[Session]:
        self._fail("sweep")
        return await super().expire(now)

    async def close(self) -> None:
        self.closed = True

    def _fail(self, what: str) -> None:
        if fault := self.faults.pop(what, None):
            raise fault


class FaultyMemory(VolatileMemory):
    """A memory that cannot fold."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    async def fold(self, node: str, fold: Fold) -> int:
        raise ZeroDivisionError("a defect")

    async def close(self) -> None:
        self.closed = True


async def test_housekeeping_that_fails_is_told_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "SWEEP_SECONDS", 0.01)
    store = FaultySessions()
    world = World(sessions=store)
    with capture_logs() as logged:
        processor = await world.started()
        session_id = await new_session(processor)
        store.faults = {what: ZeroDivisionError("a defect") for what in ("look", "sweep")}
        world.clock.forward(3600)
        await eventually_async(lambda: gone(store, session_id), timeout=60)
        await processor.stop()
    told = {line["event"]: line for line in logged}
    assert set(told) == {"look_failed", "sweep_failed"}
    assert all(line["exc_info"] for line in told.values())


async def gone(store: VolatileSessions, session_id: str) -> bool:
    return await store.get(session_id) is None


async def test_a_stop_closes_all_whatever_fails_meanwhile() -> None:
    memory, sessions = FaultyMemory(), FaultySessions()
    await memory.append("alice", Entry(1, 0.0, ()))
    processor = await World(memory=memory, sessions=sessions).started()
    with pytest.raises(ZeroDivisionError):
        await processor.stop()
    assert memory.closed
    assert sessions.closed
