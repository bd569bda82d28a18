"""A home of its own for each test; what runs of it is ended, whatever the test did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kato_operator.local.home import Home
from tests.support.cli import Kato


@pytest.fixture
def kato(tmp_path: Path) -> Iterator[Kato]:
    runner = Kato(Home(tmp_path / "home"), tmp_path)
    yield runner
    runner.clean()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kato]:
    """A home with one instance `a` that runs, for all tests of a file."""
    directory = tmp_path_factory.mktemp("running")
    runner = Kato(Home(directory / "home"), directory)
    try:
        runner("start", "--id", "a", "--recall-threshold", "0.3")
        yield runner
    finally:
        runner.clean()
