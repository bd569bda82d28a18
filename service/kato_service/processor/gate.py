"""Readers together or one writer alone. Called by `knowledge`: a prediction never sees half of an entry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """For one event loop. A writer that waits goes before readers that come later; writers exclude each other."""

    def __init__(self) -> None:
        self._readers = 0
        self._empty = asyncio.Event()
        self._open = asyncio.Event()
        self._writer = asyncio.Lock()
        self._empty.set()
        self._open.set()

    async def enter(self) -> None:
        """Come in as a reader; `leave` must follow."""
        while not self._open.is_set():
            await self._open.wait()
        self._readers += 1
        self._empty.clear()

    def leave(self) -> None:
        """Go out as a reader."""
        self._readers -= 1
        if not self._readers:
            self._empty.set()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Be inside alone."""
        async with self._writer:
            self._open.clear()
            try:
                await self._empty.wait()
                yield
            finally:
                self._open.set()
