"""Suite `http`: what one service process on SQLite does per second, beside the bare `/ping` of the same server.

Learning is durable to the disk in every row. The aims are the project's own, in absolute figures: on a machine that is
busy or slow the ratio to `/ping` is what tells.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path
from time import perf_counter

import httpx
import psutil

from kato_service.engine.naming import pattern_name
from tests.bench.data import patterns
from tests.bench.load import Request, rate
from tests.bench.rows import Row
from tests.support.service_process import ServiceProcess

SECONDS = 4.0
CLIENTS = 8
SESSIONS = 60  # of each client: so many that no short-term memory grows beyond what is usual
EVENTS = 8
MANY = 100_000
OBSERVE_AIM, LEARN_AIM, CREATE_AIM = 1500.0, 400.0, 1500.0
MIB = 2**20


def rows() -> Iterator[Row]:
    """Measure calls, then start-up and memory with many patterns."""
    with tempfile.TemporaryDirectory() as directory:
        yield from calls(Path(directory))
    with tempfile.TemporaryDirectory() as directory:
        yield from sizes(Path(directory))


def calls(directory: Path) -> Iterator[Row]:
    """Yield calls per second, each right after the ceiling of as many clients."""
    with service(directory, "calls").start() as running, running.client() as api:
        for row, clients, aim in (
            ("observe, predictions off", 1, None),
            ("observe, predictions off", CLIENTS, OBSERVE_AIM),
            (f"learn {EVENTS} events, durable", 1, None),
            (f"learn {EVENTS} events, durable", CLIENTS, LEARN_AIM),
            ("create a session", 1, None),
            ("create a session", CLIENTS, CREATE_AIM),
        ):
            make = {"o": observing, "l": learning, "c": creating}[row[0]]
            streams = [make(api, client) for client in range(clients)]
            ceiling = rate(running.port, [pings() for _ in range(clients)], SECONDS)
            value = rate(running.port, streams, SECONDS)
            name = f"{row}, {clients} client" + ("s" if clients > 1 else "")
            yield Row("http", name, value, "1/s", "/ping", ceiling, aim, "higher", goal_of="value")


def sizes(directory: Path) -> Iterator[Row]:
    """Yield how long a start takes and what memory it needs, empty and with many patterns, and the way in and out."""
    running = service(directory, "sizes")
    empty, small = started(running)
    with running.client() as api:
        content = exported()
        begin = perf_counter()
        api.post("/import", content=pieces(content), timeout=600).raise_for_status()
        yield Row("http", f"import {MANY:,} patterns", perf_counter() - begin, "s")
        begin = perf_counter()
        assert api.get("/export", timeout=600).content == content
        yield Row("http", f"export {MANY:,} patterns", perf_counter() - begin, "s")
    running.stop()
    full, large = started(running)
    yield Row("http", f"start-up with {MANY:,} patterns", full, "s", "empty", empty)
    yield Row("http", f"resident memory with {MANY:,} patterns", large / MIB, "MiB", "empty", small / MIB)
    running.stop()


def service(directory: Path, name: str) -> ServiceProcess:
    """Return a process as users run it, its log at its usual level."""
    (directory / name).mkdir()
    return ServiceProcess(directory / name)


def started(running: ServiceProcess) -> tuple[float, int]:
    """Start the process; return the seconds until it serves and its resident bytes."""
    begin = perf_counter()
    running.start()
    seconds = perf_counter() - begin
    assert running.process is not None
    return seconds, psutil.Process(running.process.pid).memory_info().rss


def pings() -> Iterator[Request]:
    """Yield the cheapest request there is."""
    return cycle([Request.create("GET", "/ping")])


def observing(api: httpx.Client, client: int) -> Iterator[Request]:
    """Yield observations of one symbol, going round the client's sessions."""
    paths = cycle([f"{session(api, f'observer-{client}')}/observe" for _ in range(SESSIONS)])
    events = (event for pattern in patterns(MANY, seed=client + 1) for event in pattern)
    return (Request.create("POST", path, {"strings": event}) for path, event in zip(paths, events, strict=False))


def learning(api: httpx.Client, client: int) -> Iterator[Request]:
    """Yield sequences that are learned, each by one call."""
    path = f"{session(api, 'learners')}/observe-sequence"
    for pattern in patterns(MANY, seed=client + 1):
        observations = [{"strings": event} for event in pattern]
        yield Request.create("POST", path, {"observations": observations, "learn_at_end": True})


def creating(_: httpx.Client, client: int) -> Iterator[Request]:
    """Yield new sessions."""
    return (Request.create("POST", "/sessions", {"user_id": f"user-{client}-{number}"}) for number in count())


def session(api: httpx.Client, user: str) -> str:
    """Make a session that predicts only when it is asked, and return its path."""
    body = {"user_id": user, "config": {"process_predictions": False}}
    return f"/sessions/{api.post('/sessions', json=body).raise_for_status().json()['session_id']}"


def exported() -> bytes:
    """Return an export of many patterns, as `GET /export` would write it."""
    records = {}
    for events in patterns(MANY * 2):
        if len(records) == MANY:
            break
        records.setdefault(pattern_name(tuple(map(tuple, events))), events)
    lines = [
        {"kato_memory": 1, "nodes": 1, "patterns": MANY},
        {"node": "bench", "patterns": MANY, "vectors": 0},
        *({"pattern": name, "events": records[name], **PLAIN} for name in sorted(records)),
    ]
    content = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    last = {"end": {"patterns": MANY, "vectors": 0, "sha256": hashlib.sha256(content).hexdigest()}}
    return content + json.dumps(last, separators=(",", ":")).encode() + b"\n"


PLAIN = {"frequency": 1, "emotives": [], "affinity": {}, "metadata": {}}


def pieces(content: bytes, size: int = 65_536) -> Iterator[bytes]:
    """Yield `content` bit by bit."""
    for start in range(0, len(content), size):
        yield content[start : start + size]
