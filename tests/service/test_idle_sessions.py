"""Sessions that nobody uses lie in the store: the process keeps nothing of them, and they are listed page by page."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.bench.load import Request, ask
from tests.support.service_process import ServiceProcess

CLIENTS = 8
COUNTS = [1_000, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
WARM_UP = 500  # sessions after which the process has what it needs for any number
GROWTH = 16 * 2**20  # bytes; a hundred thousand sessions kept in memory would be many times that


def create(service: ServiceProcess, first: int, last: int) -> None:
    """Make sessions of as many users, by several clients at once."""

    def creating(client: int) -> Iterator[Request]:
        for number in range(first + client, last, CLIENTS):
            yield Request.create("POST", "/sessions", {"user_id": f"user-{number}"})

    ask(service.port, [creating(client) for client in range(CLIENTS)])


def users(api: httpx.Client) -> Iterator[str]:
    """Yield the user of every session, page by page."""
    cursor: str | None = ""
    while cursor is not None:
        page = api.get("/sessions", params={"limit": 1000} | ({"cursor": cursor} if cursor else {})).json()
        assert len(page["sessions"]) <= 1000
        yield from (session["user_id"] for session in page["sessions"])
        cursor = page["next_cursor"]


@pytest.mark.parametrize("count", COUNTS)
def test_idle_sessions_cost_listing_pages_only(on_each_store: ServiceProcess, count: int) -> None:
    service = on_each_store.start()
    assert service.process is not None
    process = psutil.Process(service.process.pid)
    create(service, 0, WARM_UP)
    before = process.memory_info().rss
    create(service, WARM_UP, count)
    with service.client() as api:
        assert len(api.get("/sessions").json()["sessions"]) == 100
        assert process.memory_info().rss - before < GROWTH
        assert sorted(users(api)) == sorted(f"user-{number}" for number in range(count))
        assert api.get("/sessions/count").json() == {"active_session_count": count}
    service.stop()
    with service.start(), service.client() as api:  # a start reads none of them
        assert api.get("/sessions/count").json() == {"active_session_count": count}
        assert psutil.Process(service.process.pid).memory_info().rss < before + GROWTH
