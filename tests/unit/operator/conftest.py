"""One operator on an empty cluster for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.operator.rig import Rig, new_rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = new_rig()
    await made.start()
    yield made
    await made.pods.stop()
