"""A WebSocket passed on, message by message, in both directions. Called by `gateway`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import ClientSession, ClientWebSocketResponse, WSCloseCode, WSMsgType, WSServerHandshakeError, web
from yarl import URL

WebSocket = ClientWebSocketResponse | web.WebSocketResponse


def wants_websocket(request: web.Request) -> bool:
    """Say whether the request opens a WebSocket."""
    upgrades = "upgrade" in request.headers.get("Connection", "").lower()
    return upgrades and request.headers.get("Upgrade", "").lower() == "websocket"


async def relay(request: web.Request, http: ClientSession, url: URL, headers: Mapping[str, str]) -> web.StreamResponse:
    """Open the WebSocket at `url` and pass messages until either side closes; the other is closed with its code.

    Raises:
        ClientError: there was no answer at `url`.
    """
    asked = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if one.strip()]
    own = {name: value for name, value in headers.items() if not name.lower().startswith("sec-websocket-")}
    try:
        upstream = await http.ws_connect(url, protocols=asked, headers=own, autoping=False, max_msg_size=0)
    except WSServerHandshakeError as error:
        return web.Response(status=error.status, text=f"{url.path}: {error.message}")
    async with upstream:
        chosen = [upstream.protocol] if upstream.protocol else []
        caller = web.WebSocketResponse(protocols=chosen, autoping=False, max_msg_size=0)
        await caller.prepare(request)
        passing = {asyncio.create_task(_pass(caller, upstream)), asyncio.create_task(_pass(upstream, caller))}
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in passing:
                task.cancel()
            await asyncio.gather(*passing, return_exceptions=True)
        return caller


async def _pass(source: WebSocket, sink: WebSocket) -> None:
    """Pass every message on, then the end."""
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        elif message.type is WSMsgType.PING:
            await sink.ping(message.data)
        elif message.type is WSMsgType.PONG:
            await sink.pong(message.data)
    # 1005 and 1006 say that no code came; they cannot be sent.
    code = source.close_code
    await sink.close(code=WSCloseCode.GOING_AWAY if code in {None, 1005, 1006} else code)
