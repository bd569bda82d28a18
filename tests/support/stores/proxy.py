"""A TCP proxy in front of a store, through which the way to it can be made slow, dead or absent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.support.stores.server import free_port

Result = TypeVar("Result")
CHUNK = 65536


class Proxy:
    """Listens on a port of its own and forwards to `target`. `delay`: seconds that every chunk waits on its way.

    While it is `dead`, whatever is sent gets lost and nobody is told, as when the other end has lost its power: a
    connection that was used then stays open and is never answered again.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.delay = 0.0
        self.dead = False
        self._most: int | None = None
        self._released = asyncio.Event()
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._lost: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def listen(self) -> None:
        """Take connections."""
        self._server = self._run(asyncio.start_server(self._connected, "127.0.0.1", self.port))

    def refuse(self) -> None:
        """Close every connection and take no more."""
        self._run(self._close())

    def hold(self, most: int) -> None:
        """Let every connection stand still that has brought more than `most` bytes from the target."""
        self._most = most

    def release(self) -> None:
        """Let all of them go on, and hold none any more."""
        self._most = None
        self._loop.call_soon_threadsafe(self._released.set)

    def connections(self) -> int:
        """Count the connections from the clients."""
        return len(self._open) // 2

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        pair = (writer, far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._forward(source, sink, pair, answers=sink is writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, ...],
        *,
        answers: bool,
    ) -> None:
        brought = 0
        with suppress(OSError):
            while chunk := await source.read(CHUNK):
                brought += len(chunk)
                if answers and self._most is not None and brought > self._most:
                    await self._released.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.dead:
                    self._lost |= set(pair)
                if sink not in self._lost:
                    sink.write(chunk)
                    await sink.drain()
        for writer in pair:
            writer.transport.abort()
        self._open -= set(pair)
        self._lost -= set(pair)
