"""What passes through the gateway, both ways: headers, bodies, streams, WebSockets, and what it says itself."""

from __future__ import annotations

import asyncio
import os
import socket
import zlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientPayloadError, ClientSession, WSMsgType, WSServerHandshakeError, web
from aiohttp.test_utils import TestServer

from kato_operator.local import processes
from kato_operator.local.gateway import Gateway
from kato_operator.local.home import Home
from kato_operator.local.registry import Instance, Registry, now
from kato_operator.local.whereabouts import Whereabouts


class Upstream:
    """An instance as the gateway sees it: a server of this process, recorded in the registry."""

    def __init__(self) -> None:
        self.arrived, self.left = asyncio.Event(), asyncio.Event()
        application = web.Application(client_max_size=2**24)
        routes = {"/told": told, "/echo": echo, "/drip": drip, "/hang": self.hang, "/broken": broken, "/ws": talk}
        for path, handler in routes.items():
            application.router.add_route("*", path, handler)
        self.server = TestServer(application)

    async def hang(self, request: web.Request) -> web.Response:
        self.arrived.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.left.set()
            raise
        return web.Response()


async def told(request: web.Request) -> web.Response:
    headers = [[name, value] for name, value in request.headers.items()]
    answer = web.json_response({"method": request.method, "path": request.raw_path, "headers": headers})
    answer.headers.extend({"Set-Cookie": "a=1", "Connection": "X-Hop", "X-Hop": "1", "X-End": "2"})
    answer.headers.add("Set-Cookie", "b=2")
    return answer


async def echo(request: web.Request) -> web.Response:
    return web.Response(status=418, body=await request.read(), headers={"Content-Encoding": "deflate"})


async def drip(request: web.Request) -> web.StreamResponse:
    """Answer every part of the body as soon as it is there."""
    response = web.StreamResponse()
    await response.prepare(request)
    async for part in request.content.iter_any():
        await response.write(part)
    await response.write_eof()
    return response


async def broken(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half")
    assert request.transport is not None
    request.transport.abort()
    return response


async def talk(request: web.Request) -> web.StreamResponse:
    if "refuse" in request.query:
        raise web.HTTPForbidden
    socket = web.WebSocketResponse(protocols=["kato"])
    await socket.prepare(request)
    async for message in socket:
        if message.data == "end":
            await socket.close(code=4001)
        elif message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream()
    await made.server.start_server()
    yield made
    await made.server.close()


def record(home: Home, instance_id: str, port: int) -> None:
    entry = Instance(
        name="N",
        container=f"kato-{instance_id}",
        api_port=port,
        status="running",
        updated=now(),
        pid=os.getpid(),
        started=processes.started(os.getpid()),
        internal_port=1,
    )
    with Registry(home, print).changing() as instances:
        instances[instance_id] = entry


@pytest.fixture
async def front(home: Home, upstream: Upstream) -> AsyncIterator[ClientSession]:
    """A client of a gateway in front of `upstream`, which is the instance `one`."""
    assert upstream.server.port
    record(home, "one", upstream.server.port)
    async with Gateway(Whereabouts(home, print)) as gateway:
        server = TestServer(gateway.application())
        await server.start_server()
        async with ClientSession(server.make_url("/"), auto_decompress=False) as client:
            yield client
        await server.close()


async def test_a_request_arrives_as_it_was_sent(front: ClientSession) -> None:
    sent = {"X-Own": "1", "Connection": "X-Mine", "X-Mine": "hop", "X-Forwarded-For": "10.0.0.1", "Authorization": "b"}
    async with front.request("PATCH", "/one/told?a=%26&b=x+y", headers=sent) as answer:
        arrived = await answer.json()
        assert (arrived["method"], arrived["path"]) == ("PATCH", "/told?a=%26&b=x+y")
        headers = dict(arrived["headers"])
        assert headers.items() >= {"X-Own": "1", "Authorization": "b", "X-Forwarded-For": "10.0.0.1, 127.0.0.1"}.items()
        assert headers["X-Forwarded-Host"].startswith("127.0.0.1:")
        assert "X-Mine" not in headers
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
        assert ("X-Hop" in answer.headers, answer.headers["X-End"]) == (False, "2")
    async with front.get("/one/told") as answer:
        assert "Cookie" not in dict((await answer.json())["headers"])  # callers share no cookie jar


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_bodies_and_codes_pass_unchanged(front: ClientSession, size: int) -> None:
    body = zlib.compress(os.urandom(size))
    async with front.post("/one/echo", data=body) as answer:
        assert (answer.status, await answer.read()) == (418, body)
        assert answer.headers["Content-Length"] == str(len(body))


async def test_a_stream_passes_part_by_part_in_both_directions(front: ClientSession) -> None:
    seen = asyncio.Queue[None]()

    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"part %d" % number
            await asyncio.wait_for(seen.get(), 30)  # the next one is sent only when this one came back

    async with front.post("/one/drip", data=parts()) as answer:
        for number in range(3):
            assert await answer.content.readany() == b"part %d" % number
            seen.put_nowait(None)
        assert await answer.read() == b""


async def test_an_answer_that_breaks_off_never_looks_whole(front: ClientSession) -> None:
    async with front.get("/one/broken") as answer:
        with pytest.raises(ClientPayloadError):
            await answer.read()


async def test_a_caller_that_leaves_lets_the_instance_know(front: ClientSession, upstream: Upstream) -> None:
    asking = asyncio.create_task(front.get("/one/hang"))
    await asyncio.wait_for(upstream.arrived.wait(), 30)
    asking.cancel()
    await asyncio.wait_for(upstream.left.wait(), 30)


async def test_websockets_pass_text_bytes_pings_and_the_closing_code(front: ClientSession) -> None:
    async with front.ws_connect("/one/ws", protocols=["other", "kato"]) as socket:
        assert socket.protocol == "kato"
        await socket.ping(b"p")
        await socket.send_str("text")
        assert await socket.receive_str(timeout=30) == "text"
        await socket.send_bytes(b"\0" * 100_000)
        assert await socket.receive_bytes(timeout=30) == b"\0" * 100_000
        await socket.send_str("end")
        assert (await socket.receive(timeout=30)).type is WSMsgType.CLOSE
        assert socket.close_code == 4001
    with pytest.raises(WSServerHandshakeError) as refused:
        await front.ws_connect("/one/ws?refuse=1")
    assert refused.value.status == 403


async def test_an_unknown_processor_is_404_with_the_list(front: ClientSession) -> None:
    async with front.get("/two/ping") as answer:
        assert answer.status == 404
        body = await answer.json()
    assert body["detail"] == "no processor 'two' runs here; what runs: one"
    assert (body["error"]["code"], body["error"]["processors"]) == ("PROCESSOR_NOT_FOUND", ["one"])
    assert body["request_id"]
    with pytest.raises(WSServerHandshakeError):
        await front.ws_connect("/two/ws")


async def test_a_session_is_found_without_a_prefix(front: ClientSession) -> None:
    async with front.get("/sessions/one.abc/stm") as answer:
        assert answer.status == 404
        assert "sessions" not in await answer.text()  # the instance's own 404, not the gateway's
    async with front.get("/sessions/two.abc/stm") as answer:
        assert (await answer.json())["detail"].startswith("no processor 'two'")


async def test_a_new_instance_is_known_at_once_and_one_that_is_gone_is_not(
    front: ClientSession, home: Home, upstream: Upstream
) -> None:
    assert upstream.server.port
    record(home, "two", upstream.server.port)
    async with front.get("/two/told") as answer:
        assert answer.status == 200
    async with front.get("/") as answer:
        assert list((await answer.json())["processors"]) == ["one", "two"]
    with Registry(home, print).changing() as instances:
        del instances["two"]
    async with front.get("/two/told") as answer:
        assert answer.status == 404


async def test_one_that_does_not_answer_is_503_and_one_that_died_is_dropped(front: ClientSession, home: Home) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # taken, but nobody listens
        await _mute(front, home, silent.getsockname()[1])


async def _mute(front: ClientSession, home: Home, port: int) -> None:
    record(home, "mute", port)
    async with front.get("/mute/ping") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "mute is running, but does not answer: see `kato logs mute`" in await answer.text()
    with Registry(home, print).changing() as instances:
        instances["mute"] = instances["mute"].model_copy(update={"started": 1.0})
    async with front.get("/mute/ping") as answer:
        assert answer.status == 404
    assert "mute" not in Registry(home, print).read()


async def test_a_damaged_registry_is_rebuilt(front: ClientSession, home: Home) -> None:
    home.registry.write_text("{")
    async with front.get("/one/told") as answer:
        assert answer.status == 404  # this process is no instance, so that nothing is found to run
    async with front.get("/ping") as answer:
        assert (await answer.json())["processors"] == {}
