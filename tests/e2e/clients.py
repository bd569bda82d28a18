"""The programs load.py and stream.py in the client pod of a namespace, and what they report. Called by the tests."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.space import CLIENT, Space
from tests.support.learning import Patterns, acknowledged

HERE = Path(__file__).parent
LOAD = (HERE / "load.py").read_text()
STREAM = (HERE / "stream.py").read_text()


@contextmanager
def load(space: Space, url: str) -> Iterator[dict[str, Any]]:
    """Keep 8 clients busy that retry nothing; the dict holds their report when the block has ended."""
    report: dict[str, Any] = {}
    with subprocess.Popen(
        in_client(space, LOAD, url), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as clients:
        assert clients.stdin is not None
        assert clients.stdout is not None
        assert clients.stdout.readline() == "started\n"
        try:
            yield report
        finally:
            clients.stdin.close()
            report |= json.loads(clients.stdout.read())


def stream(space: Space, url: str, count: int, disturb: Callable[[], object]) -> Patterns:
    """Learn in a stream, disturb it on the way, and return the patterns acknowledged until `count` after that."""
    argv = in_client(space, STREAM, url, str(count))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as streaming:
        assert streaming.stdout is not None
        lines = [streaming.stdout.readline() for _ in range(5)]
        disturb()
        lines += streaming.stdout.readlines()
    assert streaming.returncode == 0, lines
    return acknowledged(map(json.loads, lines))


def in_client(space: Space, program: str, *words: str) -> list[str]:
    """Return the command line that runs a Python program in the client pod, with the caller's input."""
    argv = ("kubectl", "--namespace", space.name, "exec", "--stdin", CLIENT, "--", "python3", "-c", program)
    return space.cluster.command([*argv, *words])
