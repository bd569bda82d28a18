"""Suite `http-predict`: predictions over HTTP beside the bare `/ping`.

Called by `make bench`. For each size one service process on SQLite answers both; its clients do as little as they can,
for the service is what is measured.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from threading import Event
from time import perf_counter

import httpx

from kato_service.engine.model import PatternRecord
from kato_service.stores.directory import MEMORY_FILE
from kato_service.stores.sqlite_memory import SqliteMemory
from tests.bench.engine_data import knowledge, states
from tests.bench.engine_load import write_patterns
from tests.bench.rows import Place, Row
from tests.bench.smoke import new_session, served

SUITE = "http-predict"
SIZES = tuple(int(size) for size in os.environ.get("BENCH_PATTERNS", "1000 10000 100000").split())
THRESHOLDS = (0.1, 0.6)
STATES = 200
CLIENTS = (1, 8)
THROUGHPUT = 400  # requests for each figure of requests a second
NODE = "bench"  # of the sessions that `smoke` makes
AIM_MS = {(100_000, 0.1): 8.0}
PING_MS = 20.0  # the aim while a slow query runs
Ask = Callable[["Caller"], object]


class Caller:
    """One connection that asks for one thing after the other."""

    def __init__(self, client: httpx.Client) -> None:
        url = client.base_url
        self._connection = http.client.HTTPConnection(url.host, url.port, timeout=120)

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the body of an answer that has to be 200."""
        self._connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()


def ping(caller: Caller) -> None:
    """Ask for the least that the service answers."""
    caller.ask("GET", "/ping")


def rows() -> Iterator[Row]:
    """Measure at every size; the pings beside a slow query at the greatest."""
    for size in SIZES:
        records = list(knowledge(size))
        with tempfile.TemporaryDirectory() as directory, knowing(Path(directory), records) as client:
            for threshold in THRESHOLDS:
                yield from prediction_rows(client, records, threshold)
            if size == max(SIZES):
                yield from slow_query_rows(client, records)


@contextmanager
def knowing(directory: Path, records: Sequence[PatternRecord]) -> Iterator[httpx.Client]:
    """Run a service that has loaded `records`."""
    memory = directory / "memory"
    memory.mkdir(mode=0o700)
    asyncio.run(_keep(memory / MEMORY_FILE, records))
    with served(directory) as client:
        (processor,) = client.get("/status").json()["processors"].values()
        assert (processor["patterns"], processor["matcher"]) == (len(records), "rust")
        yield client


async def _keep(path: Path, records: Sequence[PatternRecord]) -> None:
    store = SqliteMemory(path)
    await write_patterns(store, NODE, records)
    await store.close()


def prediction_rows(client: httpx.Client, records: Sequence[PatternRecord], threshold: float) -> Iterator[Row]:
    """Latency of one client, predictions and pings taking turns; then requests a second."""
    size = len(records)
    session = new_session(client, recall_threshold=threshold, process_predictions=False)
    asks = [predicting(session, stm) for stm in states(records, STATES)]
    own, bare = in_turns(client, asks)
    label = f"{size:,}, t = {threshold}"
    place = Place(patterns=size, threshold=threshold)
    yield Row(SUITE, f"predict, {label}, p50", p50(own), "ms", "/ping", p50(bare), **place)
    yield Row(SUITE, f"predict, {label}, p99", p99(own), "ms", "/ping", p99(bare))
    if aim := AIM_MS.get((size, threshold)):
        yield Row(SUITE, f"predict, {label}, p50 against its aim", p50(own), "ms", goal=aim)
    for clients in CLIENTS:
        pings = throughput(client, clients, [ping])
        row = f"predict, {label}, {clients} client{'s' if clients > 1 else ''}"
        yield Row(SUITE, row, throughput(client, clients, asks), "1/s", "/ping", pings, better="higher")


def predicting(session: str, stm: object) -> Ask:
    """Return a request for a whole answer to `stm`."""
    body = json.dumps({"stm": stm}).encode()
    return lambda caller: caller.ask("POST", f"{session}/predictions", body)


def in_turns(client: httpx.Client, asks: Sequence[Ask]) -> tuple[list[float], list[float]]:
    """Return the durations in ms of `asks`, and of a ping before each, on one connection."""
    caller = Caller(client)
    own, bare = [], []
    for ask in islice(cycle(asks), 10):
        ask(caller)
    for ask in asks:
        bare.append(ms(ping, caller))
        own.append(ms(ask, caller))
    caller.close()
    return own, bare


def throughput(client: httpx.Client, clients: int, asks: Sequence[Ask]) -> float:
    """Return requests a second of `clients` connections, each in a thread of its own, over `THROUGHPUT` requests."""
    shares = [list(islice(cycle(asks), number, THROUGHPUT + number, clients)) for number in range(clients)]

    def run(share: Sequence[Ask]) -> None:
        caller = Caller(client)
        for ask in share:
            ask(caller)
        caller.close()

    with ThreadPoolExecutor(clients) as threads:
        start = perf_counter()
        for _ in threads.map(run, shares):
            pass
        return THROUGHPUT / (perf_counter() - start)


def slow_query_rows(client: httpx.Client, records: Sequence[PatternRecord]) -> Iterator[Row]:
    """Pings while one client asks for the most expensive answers there are, one after the other."""
    size = len(records)
    session = new_session(
        client,
        recall_threshold=0.0,
        use_token_matching=False,
        rank_sort_algo="predictive_information",
        process_predictions=False,
    )
    slow = [predicting(session, stm) for stm in states(records, 8)]
    bare = pings(client, STATES)
    done, durations = Event(), list[float]()

    def keep_asking() -> None:
        caller = Caller(client)
        for ask in cycle(slow):
            durations.append(ms(ask, caller))
            if done.is_set():
                break
        caller.close()

    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(keep_asking)
        try:
            beside = pings(client, 5 * STATES)
        finally:
            done.set()
        asking.result()
    yield Row(SUITE, f"slow query, {size:,}, t = 0, texts, p50", p50(durations), "ms", "/ping", p50(bare))
    yield Row(SUITE, f"/ping beside slow queries, {size:,}, p50", p50(beside), "ms", "/ping alone", p50(bare))
    yield Row(SUITE, f"/ping beside slow queries, {size:,}, p99", p99(beside), "ms", goal=PING_MS)


def pings(client: httpx.Client, count: int) -> list[float]:
    """Return the durations of `count` pings in ms."""
    caller = Caller(client)
    durations = [ms(ping, caller) for _ in range(count)]
    caller.close()
    return durations


def ms(ask: Ask, caller: Caller) -> float:
    """Return how long one request takes."""
    start = perf_counter()
    ask(caller)
    return (perf_counter() - start) * 1000


def p50(durations: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(durations)


def p99(durations: Sequence[float]) -> float:
    """Return the duration that 99 of 100 do not exceed."""
    return sorted(durations)[int(len(durations) * 0.99)]
