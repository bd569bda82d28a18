"""The server's end: who has connected and asked is answered, however late the process gets to it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from kato_service.api import server as server_module
from kato_service.api.server import Config, Connection, Server

ANSWER = b"HTTP/1.1 204 No Content\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            continue
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(2.5)  # longer than clients are told to go elsewhere
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def asked(listening: socket.socket, path: str) -> socket.socket:
    """Connect and send a request, while the server, which has the same thread, does not look."""
    client = socket.create_connection(listening.getsockname())
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    return client


class Late(Server):
    """Has a client connect and ask in the last moment."""

    last: socket.socket

    async def _take_last(self, listening: socket.socket) -> None:
        self.last = asked(listening, "/last")
        await super()._take_last(listening)


class Starved(Server):
    """Gets no CPU for a while, in which a client asks on a connection that was free until then."""

    free: socket.socket

    def _close_quiet(self) -> list[Connection]:
        for connection in self.server_state.connections:
            if connection.transport.get_extra_info("peername") == self.free.getsockname():
                connection.idle_since = 0.0  # type: ignore[union-attr] # `Config` makes no other connection
        return super()._close_quiet()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.free.sendall(b"GET /again HTTP/1.1\r\nHost: h\r\n\r\n")
        await super().shutdown(sockets)


async def _serving(server: Server, listening: socket.socket) -> asyncio.Task[None]:
    task = asyncio.create_task(server.serve(sockets=[listening]))
    await _until(lambda: server.started)
    return task


async def _until(check: Callable[[], bool]) -> None:
    """Let the server work until something is so, of which it tells nobody."""
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.01)


def _listening() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    return listening


def test_a_client_that_connects_in_the_last_moment_is_answered() -> None:
    async def story(listening: socket.socket) -> tuple[bytes, bytes]:
        server = Late(Config(app, receive_seconds=5, grace_seconds=5))
        task = await _serving(server, listening)
        slow = asked(listening, "/slow")
        await _until(lambda: any(each.answering for each in _connections(server)))
        server.should_exit = True
        await task
        with slow, server.last as last:
            return slow.recv(100), last.recv(100)

    with _listening() as listening:
        answers = uvloop.run(story(listening))
    assert [answer.startswith(ANSWER) for answer in answers] == [True, True]


def test_a_request_that_was_not_read_yet_keeps_its_connection() -> None:
    async def story(listening: socket.socket) -> bytes:
        server = Starved(Config(app, receive_seconds=5, grace_seconds=5))
        task = await _serving(server, listening)
        server.free = socket.create_connection(listening.getsockname())
        await _until(lambda: bool(server.server_state.connections))
        server.should_exit = True
        await task
        with server.free as free:
            return free.recv(100)

    with _listening() as listening:
        assert uvloop.run(story(listening)).startswith(ANSWER)


def test_a_request_whose_head_comes_in_pieces_keeps_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "IDLE_SECONDS", 30)  # since the head's first piece, however slow the machine

    async def story(listening: socket.socket) -> bytes:
        server = Server(Config(app, receive_seconds=5, grace_seconds=5))
        task = await _serving(server, listening)
        with socket.create_connection(listening.getsockname()) as client:
            await _until(lambda: bool(_connections(server)))
            (connection,) = _connections(server)
            connection.idle_since = 0.0  # it has been free for long
            client.sendall(b"GET /again HTTP/1.1\r\n")
            await _until(lambda: not connection.quiet)
            await _until(lambda: connection.idle_since > 0.0)
            server.should_exit = True
            await asyncio.sleep(0.1)  # in which connections that ask nothing are closed
            client.sendall(b"Host: h\r\n\r\n")
            await task
            return client.recv(100)

    with _listening() as listening:
        assert uvloop.run(story(listening)).startswith(ANSWER)


def test_a_process_that_stands_still_while_it_is_to_stop_gives_its_clients_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "LAME_DUCK_LOOKS", 15)
    monkeypatch.setattr(server_module, "IDLE_SECONDS", 30)

    async def story(listening: socket.socket) -> bytes:
        server = Server(Config(app, receive_seconds=30, grace_seconds=5))
        task = await _serving(server, listening)
        with socket.create_connection(listening.getsockname()) as client:
            await _until(lambda: bool(_connections(server)))
            server.should_exit = True
            for _ in range(8):
                time.sleep(15 * server_module.LOOK_SECONDS)  # noqa: ASYNC251 - the whole process stands still
                await asyncio.sleep(0)
            client.sendall(b"GET /again HTTP/1.1\r\nHost: h\r\n\r\n")
            await task
            return client.recv(100)

    with _listening() as listening:
        assert uvloop.run(story(listening)).startswith(ANSWER)


def _connections(server: Server) -> list[Connection]:
    return [each for each in server.server_state.connections if isinstance(each, Connection)]


@pytest.mark.parametrize("length", [0, 1000])
@pytest.mark.parametrize("more", [b"", b"\r\n"])
def test_a_kept_connection_ends_whatever_comes_that_begins_no_request(
    monkeypatch: pytest.MonkeyPatch, more: bytes, length: int
) -> None:
    monkeypatch.setattr(server_module, "KEEP_ALIVE_SECONDS", 0.2)

    async def story(listening: socket.socket) -> None:
        server = Server(Config(app, receive_seconds=30, grace_seconds=5))
        task = await _serving(server, listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length)
        assert await reader.readuntil(b"\r\n\r\n")
        writer.write(more)
        async with asyncio.timeout(25):
            assert await reader.read() == b""
        server.should_exit = True
        await task

    with _listening() as listening:
        uvloop.run(story(listening))


def test_a_websocket_stays_however_long_a_connection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "KEEP_ALIVE_SECONDS", 0.2)

    async def story(listening: socket.socket) -> None:
        server = Server(Config(app, receive_seconds=3, grace_seconds=1))
        task = await _serving(server, listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        wanted = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n%bSec-WebSocket-Key: %b==\r\n\r\n" % (wanted, b"a" * 22))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await reader.read(1)
        server.should_exit = True
        await task
        writer.close()

    with _listening() as listening:
        uvloop.run(story(listening))
