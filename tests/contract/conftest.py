"""Every store behind the ports, each made fresh and closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kato_service.processor.ports import MemoryStore, SessionStore
from kato_service.stores.memory import VolatileMemory, VolatileSessions
from kato_service.stores.sqlite_memory import SqliteMemory
from kato_service.stores.sqlite_sessions import SqliteSessions


@pytest.fixture(params=["memory", "sqlite"])
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MemoryStore]:
    store: MemoryStore = VolatileMemory() if request.param == "memory" else SqliteMemory(tmp_path / "memory.db")
    yield store
    await store.close()


@pytest.fixture(params=["memory", "sqlite"])
async def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SessionStore]:
    store: SessionStore = VolatileSessions() if request.param == "memory" else SqliteSessions(tmp_path / "sessions.db")
    yield store
    await store.close()
