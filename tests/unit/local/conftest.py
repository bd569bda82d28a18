"""A home of its own for each test, and real processes that end with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kato_operator.local.home import Home
from tests.support.programs import Spawn


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a Python program that waits for its end, with arguments and environment as asked."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*words: str, env: dict[str, str] | None = None, code: str = "pass") -> subprocess.Popen[bytes]:
        program = f"import signal, sys; {code}; print('up', flush=True); signal.pause()"
        process = subprocess.Popen([sys.executable, "-c", program, *words], env=env, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()
