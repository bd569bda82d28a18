"""Answers without a network: an unexpected error, a start that is not over, a store that is away, kept predictions."""

from __future__ import annotations

import asyncio

import pytest

from kato_service.engine.model import Learning
from kato_service.processor.errors import StoreUnavailable
from kato_service.processor.kept import Kept, KeptPredictions
from kato_service.processor.processor import DEFAULT_NODE
from kato_service.stores.memory import VolatileSessions
from kato_spec.parameters import Parameters
from tests.support.processors import HeldMatcher, World, client


class BrokenSessions(VolatileSessions):
    """Sessions that fail in a way nobody has thought of, or that are away."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None

    async def count(self, now: float) -> int:
        if self.error:
            raise self.error
        return await super().count(now)

    async def ping(self) -> None:
        if isinstance(self.error, StoreUnavailable):
            raise self.error


async def test_an_unexpected_error_shows_nothing_of_the_inside() -> None:
    store = BrokenSessions()
    processor = await World(sessions=store).started()
    store.error = ZeroDivisionError("the inside")
    async with client(processor) as api:
        answer = await api.get("/sessions/count", headers={"X-Request-ID": "r1"})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "INTERNAL_ERROR"
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "r1"
    assert "inside" not in answer.text.replace("inside the service", "")
    assert "Traceback" not in answer.text


async def test_while_the_memory_loads_only_the_probes_and_ping_answer() -> None:
    processor = World().processor()
    async with client(processor) as api:
        codes = {path: (await api.get(path)).status_code for path in ("/ping", "/livez", "/readyz", "/startupz")}
        refused = await api.post("/sessions", json={"user_id": "u"})
        health = (await api.get("/health")).json()
    assert codes == {"/ping": 200, "/livez": 200, "/readyz": 503, "/startupz": 503}
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "LOADING")
    assert refused.headers["retry-after"] == "1"
    assert (health["status"], health["processor_status"]) == ("degraded", "loading")


async def test_while_it_stops_it_is_not_ready_and_still_answers() -> None:
    processor = await World().started()
    processor.draining = True
    async with client(processor) as api:
        assert (await api.get("/readyz")).status_code == 503
        assert (await api.get("/livez")).status_code == 200
        assert (await api.post("/sessions", json={"user_id": "u"})).status_code == 200


async def test_a_store_that_is_away_is_said_and_asked_again() -> None:
    store = BrokenSessions()
    processor = await World(sessions=store).started()
    store.error = StoreUnavailable("sessions.db: away")
    async with client(processor) as api:
        refused = await api.get("/sessions/count")
        ready = await api.get("/readyz")
        alive = await api.get("/livez")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "STORE_UNAVAILABLE")
    assert int(refused.headers["retry-after"]) >= 1
    assert (ready.status_code, ready.json()["issues"]) == (503, ["sessions.db: away"])
    assert alive.status_code == 200


@pytest.mark.parametrize("sizes", [[40, 40, 40], [40, 90]])
def test_kept_predictions_stay_within_their_bound(sizes: list[int]) -> None:
    kept = KeptPredictions(max_bytes=100)
    for index, size in enumerate(sizes):
        kept.put(str(index), Kept(0, (), Parameters(), b"x" * size))
    assert kept.get("0") is None
    last = kept.get(str(len(sizes) - 1))
    assert last is not None
    kept.put("big", Kept(0, (), Parameters(), b"x" * 101))
    assert kept.get("big") is None


@pytest.mark.parametrize(
    "path",
    [
        "/patterns",
        "/patterns?contains=nobody's",
        "/patterns?prefix=f",
        "/symbols/stats",
        "/symbols/affinity",
        f"/export?node_id={DEFAULT_NODE}",
    ],
)
async def test_ping_answers_while_a_large_memory_is_listed(path: str) -> None:
    processor = await World().started()
    knowledge, matcher = await processor.library.read(DEFAULT_NODE), HeldMatcher()
    matcher.apply(Learning("o", "0" * 40, (("a",),)))
    knowledge.matcher = matcher
    async with client(processor) as api:
        listing = asyncio.create_task(api.get(path))
        assert await asyncio.to_thread(matcher.inside.wait, 10)
        assert (await api.get("/ping")).status_code == 200
        assert not listing.done()
        matcher.go_on.set()
        assert (await listing).status_code == 200
