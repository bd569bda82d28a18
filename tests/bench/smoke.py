"""Suite `smoke`: the four calls of the main job at 1,000 patterns, each beside the same server's bare `/ping`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx

from tests.bench.data import patterns
from tests.bench.rows import Row, median_ms
from tests.support.eventually import eventually

PATTERNS = 1_000
TIMES = 200
STM = 8
# Alarm bounds, about twice what a quiet machine showed with the plain matcher; the engine's goals are another suite's.
OBSERVE_GOAL, LEARN_GOAL, PREDICT_GOAL = 6.0, 12.0, 120.0
Call = Callable[[], object]


def rows() -> Iterator[Row]:
    """Measure one service process on SQLite that knows `PATTERNS` patterns, by one client on one connection."""
    with tempfile.TemporaryDirectory() as directory, served(Path(directory)) as client:
        teacher = new_session(client, process_predictions=False)
        for pattern in patterns(PATTERNS):
            learn(client, teacher, pattern)
        yield Row("smoke", "ping, p50", ping_ms(client), "ms")
        for row, call, times, goal in calls(client):
            # The ceiling is measured again right before each call, so that both see the same load.
            ping = ping_ms(client)
            yield Row("smoke", row, median_ms(call, times=times), "ms", "/ping", ping, goal)


def ping_ms(client: httpx.Client) -> float:
    """Return the median of a bare `/ping`, in milliseconds."""
    return median_ms(lambda: ask(client, "GET", "/ping"), times=TIMES)


def calls(client: httpx.Client) -> Iterator[tuple[str, Call, int, float]]:
    """Yield what is measured: its row, the call, how often it is made, and the greatest ratio to `/ping` it may have.

    Observing goes into a memory that learns by itself at `STM` events, so the STM stays as short as in real use.
    """
    fresh = patterns(10 * TIMES, seed=2)
    events = (event for pattern in fresh for event in pattern)
    watching = new_session(client, process_predictions=False, max_pattern_length=STM)
    yield (
        "observe, predictions off, p50",
        lambda: ask(client, "POST", f"{watching}/observe", {"strings": next(events)}),
        TIMES,
        OBSERVE_GOAL,
    )
    learning = new_session(client, process_predictions=False)
    yield f"learn {STM} events, durable, p50", lambda: learn(client, learning, next(fresh)), TIMES, LEARN_GOAL
    halves = cycle([pattern[: STM // 2] for pattern in patterns(PATTERNS)])
    asking = new_session(client, recall_threshold=0.1)
    row = f"predict, {PATTERNS:,} patterns and what was added, t = 0.1, p50"
    yield row, lambda: ask(client, "POST", f"{asking}/predictions", {"stm": next(halves)}), TIMES // 5, PREDICT_GOAL


def learn(client: httpx.Client, session: str, pattern: list[list[str]]) -> None:
    """Observe a pattern and learn it, in one call."""
    body = {"observations": [{"strings": event} for event in pattern], "learn_at_end": True}
    ask(client, "POST", f"{session}/observe-sequence", body)


def new_session(client: httpx.Client, **config: object) -> str:
    """Make a session of one user and return its path."""
    return f"/sessions/{ask(client, 'POST', '/sessions', {'user_id': 'bench', 'config': config})['session_id']}"


def ask(client: httpx.Client, method: str, path: str, body: object = None) -> dict[str, Any]:
    """Return the answer of one call that succeeds."""
    answer: dict[str, Any] = client.request(method, path, json=body).raise_for_status().json()
    return answer


@contextmanager
def served(directory: Path) -> Iterator[httpx.Client]:
    """Run `kato serve` on a free port with its memory in `directory`, and give a client of it."""
    command = [sys.executable, "-m", "kato_cli", "serve", "--port", "0", "--data-dir", str(directory / "memory")]
    log = directory / "service.log"
    with log.open("w") as output, subprocess.Popen(command, stdout=output) as process:
        try:
            port = eventually(lambda: serving_port(log), timeout=60)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                yield client
        finally:
            process.terminate()


def serving_port(log: Path) -> int:
    """Return the port that the service says it serves on, 0 until it does."""
    lines = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return next((int(line["port"]) for line in lines if line["event"] == "serving"), 0)
