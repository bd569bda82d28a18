"""What every request passes before it reaches a route: id, processor prefix, token, limits, counters, the log line.

Plain ASGI, wrapped around each application by the composition root.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hmac import compare_digest
from itertools import count

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kato_service.api import context, errors
from kato_service.api.json import Json
from kato_service.api.meter import NO_ROUTE, Meter
from kato_spec.errors import shown
from kato_spec.keys import RESERVED_IDS

PROBES = frozenset({"/livez", "/readyz", "/startupz"})
STREAMED = frozenset({"/import"})  # read piece by piece: of any length, and as long as pieces come
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
LONGEST_LENGTH = 18  # digits of a content-length
WRONG_POLICY = 1008  # WebSocket's code for one who may not come in
HANDSHAKES = {"websocket.accept": 101, "websocket.close": 403}  # first message -> status that the server makes of it
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Guard:
    """What the door asks for. No `tokens`: anyone may come in. No `processor_id`: paths have no prefix.

    `max_requests` at once, 0 for any number; a body has `receive_seconds` to come in.
    """

    tokens: tuple[str, ...]
    max_body_bytes: int
    processor_id: str | None = None
    max_requests: int = 0
    receive_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A request that has come in. `started` in seconds of the monotonic clock."""

    method: str
    path: str
    facts: context.RequestFacts
    started: float

    @property
    def header(self) -> tuple[bytes, bytes]:
        return b"x-request-id", self.facts.request_id.encode()


class FrontDoor:
    """The ASGI application around `app`. While it is `draining`, clients are told to connect elsewhere."""

    def __init__(self, app: ASGIApp, guard: Guard, meter: Meter, draining: Callable[[], bool]) -> None:
        self._app, self._guard, self._meter, self._draining = app, guard, meter, draining
        self._tokens = tuple(token.encode() for token in guard.tokens)
        self._process = secrets.token_hex(6)
        self._requests = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        arrival = self._begin(scope["method"], scope["path"], headers)
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], arrival.header]
                if self._draining():
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            refusal = self._refusal(scope, headers)
            await (refusal or self._app)(scope, self._limited(scope["path"], receive), answer)
        finally:
            self._end(arrival, scope, status)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a handshake; it ends with its answer, as what follows may go on for days."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        arrival = self._begin("GET", scope["path"], headers)
        answered = False

        async def answer(message: Message) -> None:
            nonlocal answered
            if not answered:
                answered = True
                if message["type"] != "websocket.close":
                    message["headers"] = [*message.get("headers", ()), arrival.header]
                self._end(arrival, scope, message.get("status", HANDSHAKES.get(message["type"])))
            await send(message)

        try:
            refusal = self._refusal(scope, headers)
            if refusal is None:
                await self._app(scope, receive, answer)
            else:
                await _refuse(refusal, scope, receive, answer)
        finally:
            if not answered:
                self._end(arrival, scope, 500)

    def _begin(self, method: str, path: str, headers: dict[bytes, bytes]) -> _Arrival:
        facts = context.RequestFacts(self._request_id(headers.get(b"x-request-id")))
        context.begin(facts)
        self._meter.begin()
        return _Arrival(method, path, facts, time.perf_counter())

    def _end(self, arrival: _Arrival, scope: Scope, status: int) -> None:
        """Count the answer and write the request's one line."""
        seconds = time.perf_counter() - arrival.started
        self._meter.end(arrival.method, _route(scope), status, seconds)
        write = log.debug if arrival.path in PROBES else log.info
        write(
            "request",
            method=arrival.method,
            path=arrival.path,
            status=status,
            duration_ms=round(seconds * 1000, 3),
            request_id=arrival.facts.request_id,
            session=arrival.facts.session,
            node=arrival.facts.node,
        )

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Json | None:
        """Return the answer to what may not pass; take the processor's prefix off what may."""
        processor_id = self._guard.processor_id
        here = processor_id is None or _unprefixed(scope, processor_id)
        if self._tokens and scope["path"] not in PROBES and not _known(headers.get(b"authorization"), self._tokens):
            challenge = {"WWW-Authenticate": "Bearer"}
            return errors.answer(401, "UNAUTHORIZED", "Send a known token as Authorization: Bearer", headers=challenge)
        if processor_id is not None and not here:
            return _not_here(scope["path"], processor_id)
        if 0 < self._guard.max_requests < self._meter.in_progress and scope["path"] not in PROBES:
            self._meter.refused += 1
            return errors.overloaded(self._guard.max_requests)
        length = headers.get(b"content-length", b"0")
        too_long = not length.isdigit() or len(length) > LONGEST_LENGTH or int(length) > self._guard.max_body_bytes
        if too_long and scope["path"] not in STREAMED:
            return errors.too_large(self._guard.max_body_bytes)
        return None

    def _request_id(self, given: bytes | None) -> str:
        if given and REQUEST_ID.fullmatch(given):
            return given.decode()
        return f"{self._process}-{next(self._requests):x}"

    def _limited(self, path: str, receive: Receive) -> Receive:
        """Return `receive` for a body that may come too slowly, or be longer than anyone has announced."""
        streamed = path in STREAMED
        received, coming = 0, True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._guard.receive_seconds

        async def limited() -> Message:
            nonlocal received, coming
            if not coming:  # the body is here: what may come now is the client's farewell
                return await receive()
            try:
                async with asyncio.timeout_at(loop.time() + self._guard.receive_seconds if streamed else deadline):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408) from error
            coming = message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self._guard.max_body_bytes and not streamed:
                raise HTTPException(413)
            return message

        return limited


async def _refuse(refusal: Json, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a WebSocket's handshake, with the reason where the server can send one."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": WRONG_POLICY})
        return
    await receive()
    start = {"type": "websocket.http.response.start", "status": refusal.status_code}
    await send({**start, "headers": refusal.raw_headers})
    await send({"type": "websocket.http.response.body", "body": refusal.body})


def _route(scope: Scope) -> str:
    """Return the route as the API documents it: a path with a name in the place of each id."""
    return getattr(scope.get("route"), "path", NO_ROUTE)


def _unprefixed(scope: Scope, processor_id: str) -> bool:
    """Take `/{processor_id}` off the path; False when the path begins with neither that nor one of our own."""
    first, _, rest = scope["path"][1:].partition("/")
    if first == processor_id:
        scope["path"] = "/" + rest
        scope["raw_path"] = b"/" + scope["raw_path"].partition(b"?")[0][1:].partition(b"/")[2]
        return True
    return not first or first in RESERVED_IDS


def _not_here(path: str, processor_id: str) -> Json:
    detail = (
        f"{shown(path)}: no such path or processor; this process serves {processor_id!r}, and /docs lists its paths"
    )
    return errors.answer(404, "PROCESSOR_NOT_FOUND", detail, fields={"processor_id": processor_id})


def _known(authorization: bytes | None, tokens: Iterable[bytes]) -> bool:
    scheme, _, given = (authorization or b"").partition(b" ")
    # Every token is compared, so that the time taken tells nothing of which one came near.
    matches = [compare_digest(given.strip(), token) for token in tokens]
    return scheme.lower() == b"bearer" and any(matches)
