"""JSON in and out by orjson: strict (NaN is no JSON), exact and fast. Called by every route."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute


class Json(Response):
    """An answer of plain values, written by orjson."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Write `content`; bytes are JSON already and stay as they are."""
        return content if isinstance(content, bytes) else orjson.dumps(content)


class StrictRequest(Request):
    """A request whose body is read by orjson."""

    async def json(self) -> Any:  # noqa: ANN401 - any JSON value, as the base class says
        """Return the body's value."""
        return orjson.loads(await self.body())


class StrictRoute(APIRoute):
    """A route that reads its body by orjson."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Hand the route a `StrictRequest`."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strictly


def spliced(body: bytes, **fields: object) -> bytes:
    """Return the JSON object `body`, byte for byte, with more fields behind its own."""
    return b"%b,%b" % (body[:-1], orjson.dumps(fields)[1:])
