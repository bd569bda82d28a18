"""One HTTP server: uvicorn, with a patience of its own and an end at which no request fails.

Made by the composition root, one for each socket. What uvicorn leaves open is closed here: a head that never ends, a
body that never comes, and the clients that are still asking when the process is to stop (service.md, "Graceful stop").
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import socket
import struct
import sys
import termios
from asyncio import TimerHandle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_HEAD_BYTES = 64 * 1024
BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
LOOK_SECONDS = 0.02  # between two looks at the connections, when the process is to stop
LAME_DUCK_LOOKS = 75  # while clients are told to go elsewhere, then again for what they have begun to ask
IDLE_SECONDS = 1.0  # after which a connection has no request on its way, though its client may wait for a CPU
SO_ATTACH_FILTER = 26  # <asm-generic/socket.h>; Python has no name for it
# Classic BPF on the TCP header: of a packet with the SYN flag (byte 13, bit 2) keep nothing, of any other everything.
DROP_SYN = [(0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF)]


class Config(uvicorn.Config):
    """uvicorn's settings, and the seconds in which the head of a request has to come."""

    def __init__(self, app: Any, *, receive_seconds: float, grace_seconds: int) -> None:  # noqa: ANN401 - as uvicorn
        super().__init__(
            app,
            loop="none",
            http=Connection,
            ws=WebSocketsSansIOProtocol,
            ws_max_size=MAX_HEAD_BYTES,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=grace_seconds,
        )
        self.receive_seconds = receive_seconds


class Connection(HttpToolsProtocol):
    """A connection that waits for a request's head for so long, and takes one of so many bytes."""

    config: Config
    idle_since = 0.0
    _head_bytes = 0
    _in_head = True
    _head_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Wait for the first head."""
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse a head that outgrows its limit before anything is made of it."""
        if self._in_head:
            self._head_bytes += len(data)
            self.idle_since = self.loop.time()
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head of the request is longer than {MAX_HEAD_BYTES} bytes")
        if self in self.connections and self.timeout_keep_alive_task is None and not (self._in_head or self.answering):
            # These bytes began no request: the connection is as free as before them, and no longer than it was to be.
            left = self.idle_since + self.timeout_keep_alive - self.loop.time()
            self.timeout_keep_alive_task = self.loop.call_later(max(0.0, left), self.timeout_keep_alive_handler)

    def on_message_begin(self) -> None:
        """Count anew."""
        super().on_message_begin()
        if not self._in_head:
            self._begin_head()

    def on_headers_complete(self) -> None:
        """Leave the rest to the application."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Refuse endless trailers too."""
        self._head_bytes += 0 if self._in_head else len(name) + len(value)
        if not self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("the trailers are too long")
        super().on_header(name, value)

    def on_response_complete(self) -> None:
        """Note that the connection is free."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer in the shape of all errors, and close."""
        error = {"code": "BAD_REQUEST", "message": msg}
        body = orjson.dumps({"detail": msg, "error": error, "request_id": ""})
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        self.transport.write(head % len(body) + b"connection: close\r\n\r\n" + body)
        self.transport.close()

    @property
    def answering(self) -> bool:
        """Whether a request has come whose answer is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def quiet(self) -> bool:
        """Whether no request is on its way: none for `IDLE_SECONDS`, and no byte that nobody has read yet.

        A process that had to wait for the CPU reads late; to close such a connection would reset it.
        """
        return not self.answering and self.loop.time() - self.idle_since > IDLE_SECONDS and not self._unread()

    def _unread(self) -> int:
        size = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.FIONREAD, bytes(4))
        return int.from_bytes(size, sys.byteorder)

    def _begin_head(self) -> None:
        self._head_bytes, self._in_head, self.idle_since = 0, True, self.loop.time()
        self._stop_timer()
        self._head_timer = self.loop.call_later(self.config.receive_seconds, self.timeout_keep_alive_handler)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Server(uvicorn.Server):
    """A server that leaves the signals to the composition root, which has two servers to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer whoever asks until the clients have been told to go, then what is in flight, and end.

        The application says `Connection: close` with every answer by now.
        """
        await self._look_until(lambda: not self._close_quiet())
        for listening in sockets or ():
            await self._take_last(listening)
        await self._look_until(lambda: all(each.answering for each in self._close_quiet()))
        await super().shutdown(sockets)

    async def _look_until(self, done: Callable[[], bool]) -> None:
        """Look until it is done, at most so often: a process that has to wait for the CPU gives its clients longer."""
        for _ in range(LAME_DUCK_LOOKS):
            if done():
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _close_quiet(self) -> list[Connection]:
        """Close the connections that ask nothing; return those that are left."""
        connections = [each for each in self.server_state.connections if isinstance(each, Connection)]
        for connection in connections:
            if not connection.transport.is_closing() and connection.quiet:
                connection.transport.close()
        return [each for each in connections if not each.transport.is_closing()]

    async def _take_last(self, listening: socket.socket) -> None:
        """Let nobody begin to connect any more, and take in those who have begun and were not accepted yet.

        Closing the socket right away would reset them with their requests already sent.
        """
        instructions = b"".join(struct.pack("HBBI", *each) for each in DROP_SYN)
        code = ctypes.create_string_buffer(instructions)
        with suppress(OSError):  # a system without packet filters: a few may be reset
            program = struct.pack("HL", len(DROP_SYN), ctypes.addressof(code))
            listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        await asyncio.sleep(LOOK_SECONDS)  # in which handshakes end that had begun
        waiting = []
        with suppress(BlockingIOError):
            while True:
                waiting.append(listening.accept()[0])
        for server in self.servers:
            server.close()
        for accepted in waiting:
            with suppress(OSError):
                await asyncio.get_running_loop().connect_accepted_socket(self._connection, accepted)

    def _connection(self) -> Connection:
        return Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
