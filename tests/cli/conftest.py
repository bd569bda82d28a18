"""A home of its own for each test; what runs of it is ended, whatever the test did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kato_operator.local.home import Home
from tests.support.cli import Kato
from tests.support.guardian import guarding


@pytest.fixture(scope="session", autouse=True)
def _nothing_outlives_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with guarding(tmp_path_factory.getbasetemp()):
        yield


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
