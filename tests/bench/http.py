"""Suite `http`: what one service process does per second on each store, beside the bare `/ping` of the same server.

Learning is durable to the disk in every row. The aims are the project's own, in absolute figures: on a machine that is
busy or slow the ratio to `/ping` is what tells. BENCH_PATTERNS says at which sizes start-up and memory are measured; a
million patterns take most of the run's time.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, count, cycle
from pathlib import Path
from time import perf_counter
from typing import IO

import httpx
import psutil

from kato_service.engine.naming import pattern_name
from tests.bench import http_replicas
from tests.bench.data import patterns
from tests.bench.http_replicas import MakeReplicas, external
from tests.bench.load import Request, rate
from tests.bench.rows import Row
from tests.support.service_process import ServiceProcess

SECONDS = 4.0
CLIENTS = 8
SESSIONS = 60  # of each client: so many that no short-term memory grows beyond what is usual
EVENTS = 8
VARIED = 100_000  # patterns that observations and sequences are taken from
SIZES = tuple(int(size) for size in os.environ.get("BENCH_PATTERNS", "100000 1000000").split())
PATIENCE = 600.0  # seconds that a start may take
EMBEDDED, EXTERNAL = "SQLite", "Redis and MongoDB"
OBSERVE_AIM, LEARN_AIM, CREATE_AIM = 1500.0, 400.0, 1500.0
MIB = 2**20
Make = Callable[[str], ServiceProcess]  # a process of its own, by a name


def rows() -> Iterator[Row]:
    """Measure calls, start-up and memory on every store, then what several replicas need."""
    with tempfile.TemporaryDirectory() as directory:
        make = partial(service, Path(directory))
        yield from calls(make, EMBEDDED)
        for size in SIZES:
            yield from sizes(make, EMBEDDED, size)
    with external() as replicas:
        yield from calls(partial(alone, replicas), EXTERNAL)
        yield from http_replicas.rows(replicas)
        for size in SIZES:
            yield from sizes(partial(alone, replicas), EXTERNAL, size)


def alone(replicas: MakeReplicas, name: str) -> ServiceProcess:
    """Return the one replica of a processor."""
    return replicas(name).add()


def calls(make: Make, store: str) -> Iterator[Row]:
    """Yield calls per second, each right after the ceiling of as many clients."""
    embedded = store == EMBEDDED
    with make("calls").start() as running, running.client() as api:
        for row, clients, aim in (
            ("observe, predictions off", 1, None),
            ("observe, predictions off", CLIENTS, OBSERVE_AIM),
            (f"learn {EVENTS} events, durable", 1, None),
            (f"learn {EVENTS} events, durable", CLIENTS, LEARN_AIM if embedded else None),
            ("create a session", 1, None),
            ("create a session", CLIENTS, CREATE_AIM),
        ):
            kind = {"o": observing, "l": learning, "c": creating}[row[0]]
            streams = [kind(api, client) for client in range(clients)]
            ceiling = rate(running.port, [pings() for _ in range(clients)], SECONDS)
            value = rate(running.port, streams, SECONDS)
            name = f"{store}: {row}, {clients} client" + ("s" if clients > 1 else "")
            yield Row("http", name, value, "1/s", "/ping", ceiling, aim, "higher", goal_of="value")


def sizes(make: Make, store: str, many: int) -> Iterator[Row]:
    """Yield how long a start takes and what memory it needs, empty and with `many` patterns, and the way in and out."""
    running = make(f"sizes-{many}")
    empty, small = started(running)
    with running.client() as api, exported(many) as content:
        begin = perf_counter()
        api.post("/import", content=content, timeout=PATIENCE).raise_for_status()
        yield Row("http", f"{store}: import {many:,} patterns", perf_counter() - begin, "s")
        digest, begin = hashlib.sha256(), perf_counter()
        with api.stream("GET", "/export", timeout=PATIENCE) as answer:
            for piece in answer.iter_raw():
                digest.update(piece)
        yield Row("http", f"{store}: export {many:,} patterns", perf_counter() - begin, "s")
        content.seek(0)
        assert digest.digest() == hashlib.file_digest(content, "sha256").digest()
    running.stop()
    full, large = started(running)
    yield Row("http", f"{store}: start-up with {many:,} patterns", full, "s", "empty", empty)
    yield Row("http", f"{store}: resident memory with {many:,} patterns", large / MIB, "MiB", "empty", small / MIB)
    running.stop()


def service(directory: Path, name: str) -> ServiceProcess:
    """Return a process as users run it, its log at its usual level."""
    (directory / name).mkdir()
    return ServiceProcess(directory / name)


def started(running: ServiceProcess) -> tuple[float, int]:
    """Start the process; return the seconds until it serves and its resident bytes."""
    begin = perf_counter()
    running.spawn().wait_until_serving(PATIENCE)
    seconds = perf_counter() - begin
    assert running.process is not None
    return seconds, psutil.Process(running.process.pid).memory_info().rss


def pings() -> Iterator[Request]:
    """Yield the cheapest request there is."""
    return cycle([Request.create("GET", "/ping")])


def observing(api: httpx.Client, client: int) -> Iterator[Request]:
    """Yield observations of one symbol, going round the client's sessions."""
    paths = cycle([f"{session(api, f'observer-{client}')}/observe" for _ in range(SESSIONS)])
    events = (event for pattern in patterns(VARIED, seed=client + 1) for event in pattern)
    return (Request.create("POST", path, {"strings": event}) for path, event in zip(paths, events, strict=False))


def learning(api: httpx.Client, client: int) -> Iterator[Request]:
    """Yield sequences that are learned, each by one call."""
    path = f"{session(api, 'learners')}/observe-sequence"
    for pattern in patterns(VARIED, seed=client + 1):
        observations = [{"strings": event} for event in pattern]
        yield Request.create("POST", path, {"observations": observations, "learn_at_end": True})


def creating(_: httpx.Client, client: int) -> Iterator[Request]:
    """Yield new sessions."""
    return (Request.create("POST", "/sessions", {"user_id": f"user-{client}-{number}"}) for number in count())


def session(api: httpx.Client, user: str) -> str:
    """Make a session that predicts only when it is asked, and return its path."""
    body = {"user_id": user, "config": {"process_predictions": False}}
    return f"/sessions/{api.post('/sessions', json=body).raise_for_status().json()['session_id']}"


@contextmanager
def exported(many: int) -> Iterator[IO[bytes]]:
    """Give a file that holds an export of `many` patterns, as `GET /export` would write it."""
    records: dict[str, list[list[str]]] = {}
    for events in patterns(many * 2):
        if len(records) == many:
            break
        records.setdefault(pattern_name(tuple(map(tuple, events))), events)
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as file:
        heads = ({"kato_memory": 1, "nodes": 1, "patterns": many}, {"node": "bench", "patterns": many, "vectors": 0})
        lines = ({"pattern": name, "events": records[name], **PLAIN} for name in sorted(records))
        for line in chain(heads, lines):
            written = json.dumps(line, separators=(",", ":")).encode() + b"\n"
            digest.update(written)
            file.write(written)
        last = {"end": {"patterns": many, "vectors": 0, "sha256": digest.hexdigest()}}
        file.write(json.dumps(last, separators=(",", ":")).encode() + b"\n")
        file.seek(0)
        yield file


PLAIN = {"frequency": 1, "emotives": [], "affinity": {}, "metadata": {}}
