"""JSON in and out by orjson: strict (NaN is no JSON), exact and fast. Called by every route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Coroutine
from typing import Any, get_type_hints

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel


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
    """A route that reads its body by orjson.

    Where its endpoint takes no more than names of the path, one body and the request, a good request goes straight to
    it; everything else, and every request that is not good, goes FastAPI's way, which says what is wrong.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Hand the route a `StrictRequest`."""
        handle = super().get_route_handler()
        straight = _straight(self.endpoint, self.param_convertors)

        async def strictly(request: Request) -> Response:
            asked = StrictRequest(request.scope, request.receive)
            arguments = await straight(asked) if straight else None
            if arguments is None:
                return await handle(asked)
            response: Response = await self.endpoint(**arguments)
            return response

        return strictly


Arguments = Callable[[StrictRequest], Awaitable[dict[str, Any] | None]]


def _straight(endpoint: Callable[..., Any], path: Container[str]) -> Arguments | None:
    """Return what makes an endpoint's arguments from a good request, and None from another; None for other endpoints.

    `path` are the names in the route's path.
    """
    hints = {name: kind for name, kind in get_type_hints(endpoint).items() if name != "return"}
    bodies = [name for name, kind in hints.items() if isinstance(kind, type) and issubclass(kind, BaseModel)]
    names = [name for name, kind in hints.items() if kind is str and name in path]
    if len(bodies) > 1 or len(bodies) + len(names) + 1 != len(hints) or hints.get("request") is not Request:
        return None
    body = bodies[0] if bodies else None
    validate = hints[body].model_validate if body else None

    async def arguments(request: StrictRequest) -> dict[str, Any] | None:
        found: dict[str, Any] = {"request": request}
        if body is not None and validate is not None:
            if request.headers.get("content-type", "application/json") != "application/json":
                return None
            try:
                found[body] = validate(await request.json())
            except ValueError:  # of JSON, or of what it holds
                return None
        place = request.path_params
        found |= {name: place[name] for name in names}
        return found

    return arguments


def spliced(body: bytes, **fields: object) -> bytes:
    """Return the JSON object `body`, byte for byte, with more fields behind its own."""
    return b"%b,%b" % (body[:-1], orjson.dumps(fields)[1:])
