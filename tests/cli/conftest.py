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
