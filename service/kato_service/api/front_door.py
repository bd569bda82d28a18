"""What every request passes before it reaches a route: id, processor prefix, token, body limit, and the log line.

Plain ASGI, wrapped around each application by the composition root.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hmac import compare_digest
from itertools import count

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kato_service.api import context, errors
from kato_service.api.json import Json
from kato_spec.errors import shown
from kato_spec.keys import RESERVED_IDS

PROBES = frozenset({"/livez", "/readyz", "/startupz"})
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Guard:
    """What the door asks for. No `tokens`: anyone may come in. No `processor_id`: paths have no prefix."""

    tokens: tuple[str, ...]
    max_body_bytes: int
    processor_id: str | None = None


class FrontDoor:
    """The ASGI application around `app`."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app, self._guard = app, guard
        self._tokens = tuple(token.encode() for token in guard.tokens)
        self._process = secrets.token_hex(6)
        self._requests = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        facts = context.RequestFacts(self._request_id(headers.get(b"x-request-id")))
        context.begin(facts)
        status = 500
        path = scope["path"]

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", facts.request_id.encode())]
            await send(message)

        try:
            refusal = self._refusal(scope, headers)
            await (refusal or self._app)(scope, self._limited(receive), answer)
        finally:
            write = log.debug if path in PROBES else log.info
            write(
                "request",
                method=scope["method"],
                path=path,
                status=status,
                duration_ms=round((time.perf_counter() - started) * 1000, 3),
                request_id=facts.request_id,
                session=facts.session,
                node=facts.node,
            )

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Json | None:
        """Return the answer to what may not pass; take the processor's prefix off what may."""
        if self._guard.processor_id is not None and not _unprefixed(scope, self._guard.processor_id):
            return _not_here(scope["path"], self._guard.processor_id)
        if self._tokens and scope["path"] not in PROBES and not _known(headers.get(b"authorization"), self._tokens):
            challenge = {"WWW-Authenticate": "Bearer"}
            return errors.answer(401, "UNAUTHORIZED", "Send a known token as Authorization: Bearer", headers=challenge)
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._guard.max_body_bytes:
            return errors.too_large(self._guard.max_body_bytes)
        return None

    def _request_id(self, given: bytes | None) -> str:
        if given and REQUEST_ID.fullmatch(given):
            return given.decode()
        return f"{self._process}-{next(self._requests):x}"

    def _limited(self, receive: Receive) -> Receive:
        """Return `receive` for a body whose length nobody has announced."""
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._guard.max_body_bytes:
                raise HTTPException(413)
            return message

        return limited


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
