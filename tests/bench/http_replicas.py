"""Part of suite `http`: what idle sessions cost in Redis, and how soon one replica knows what another has learned."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter

import httpx

from tests.bench.load import Request, ask
from tests.bench.rows import Row, median_ms
from tests.support.stores.replicas import Replicas, running_stores

IDLE = 100_000
FEW = 1_000
CLIENTS = 8
PAGE = 100
MEMORY = "-Xmx4g"  # for what speaks MongoDB's protocol: a million patterns need more than any test
LEARNED = 400  # patterns, each looked for on another replica
BYTES_AIM, LAG_AIM_MS = 1000.0, 100.0
MakeReplicas = Callable[[str], Replicas]


@contextmanager
def external() -> Iterator[MakeReplicas]:
    """Run a Redis that syncs every write and a MongoDB; give a maker of processors on them, by name."""
    with tempfile.TemporaryDirectory() as directory, running_stores(Path(directory) / "stores", MEMORY) as stores:
        made: list[Replicas] = []

        def make(name: str) -> Replicas:
            made.append(Replicas(Path(directory) / name, stores))
            return made[-1]

        try:
            yield make
        finally:
            for each in made:
                each.close()


def rows(make: MakeReplicas) -> Iterator[Row]:
    """Measure idle sessions, then the lag between replicas."""
    yield from idle(make("idle"), IDLE)
    yield from lag(make("lag"), LEARNED)


def idle(replicas: Replicas, many: int) -> Iterator[Row]:
    """Yield what an idle session takes in Redis, and what a page of sessions costs with few and with many of them."""
    (service,) = replicas.start(1)
    with replicas.stores.redis.client() as redis, service.client() as api:
        before: int = redis.info("memory")["used_memory"]
        ask(service.port, creating(FEW))
        few = page_ms(api)
        ask(service.port, creating(many - FEW))
        used = (redis.info("memory")["used_memory"] - before) / many
        yield Row("http", f"Redis bytes per idle session, {many:,} of them", used, "B", goal=BYTES_AIM)
        name = f"a page of {PAGE} sessions, {many:,} idle"
        yield Row("http", name, page_ms(api), "ms", f"{FEW:,} idle", few)
    service.stop()


def creating(many: int) -> list[Iterator[Request]]:
    """Return requests for `many` sessions of different users, for several clients at once."""
    requests = (Request.create("POST", "/sessions", {"user_id": f"user-{number}"}) for number in range(many))
    return [islice(requests, many // CLIENTS + 1) for _ in range(CLIENTS)]


def page_ms(api: httpx.Client) -> float:
    """Return how long a page of sessions takes."""
    return median_ms(lambda: api.get("/sessions", params={"limit": PAGE}).raise_for_status(), times=50)


def lag(replicas: Replicas, many: int) -> Iterator[Row]:
    """Yield how long after its acknowledgement by one replica a pattern is there on another that nobody has told."""
    here, there = replicas.start(2)
    with here.client() as api, there.client() as other:
        config = {"process_predictions": False}
        made = api.post("/sessions", json={"user_id": "learner", "config": config}).raise_for_status().json()
        path = f"/sessions/{made['session_id']}/observe-sequence"
        seen = [seconds_until_seen(api, other, path, number) * 1000 for number in range(many)]
    percentiles = statistics.quantiles(seen, n=100)
    yield Row("http", "lag of another replica, median", percentiles[49], "ms", goal=LAG_AIM_MS)
    yield Row("http", "lag of another replica, 99th percentile", percentiles[98], "ms", goal=LAG_AIM_MS)
    for each in (here, there):
        each.stop()


def seconds_until_seen(api: httpx.Client, other: httpx.Client, path: str, number: int) -> float:
    """Learn a pattern here and return how long it takes until it is to be seen there."""
    body = {"observations": [{"strings": [f"a{number}"]}, {"strings": ["b"]}], "learn_at_end": True}
    name = api.post(path, json=body).raise_for_status().json()["final_learned_pattern"]
    begin = perf_counter()
    while other.get(f"/pattern/{name}", params={"node_id": "learner"}).status_code != httpx.codes.OK:
        assert perf_counter() - begin < 60, f"{name} is not to be seen"
    return perf_counter() - begin
