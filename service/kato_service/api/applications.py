"""The two ASGI applications: the API and the operator's side door. Called by the composition root and by tests."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from kato_service.api import default, errors, internal, knowledge, probes, sessions, streams
from kato_service.api.front_door import FrontDoor, Guard
from kato_service.processor.processor import Processor


def api(processor: Processor, *, tokens: tuple[str, ...] = (), max_body_bytes: int) -> ASGIApp:
    """Return the API of one processor; no `tokens`, no authentication."""
    app = FastAPI(title="KATO", version=probes.VERSION, description=__doc__, strict_content_type=False)
    # The busiest come first: routes are tried in this order.
    routers = (streams.router, probes.router, sessions.router, default.router, knowledge.router)
    return _guarded(app, processor, routers, Guard(tokens, max_body_bytes, processor.id))


def side_door(processor: Processor, *, token: str, max_body_bytes: int) -> ASGIApp:
    """Return the side door of one processor."""
    app = FastAPI(title="KATO side door", openapi_url=None, strict_content_type=False)
    return _guarded(app, processor, (internal.router,), Guard((token,), max_body_bytes))


def _guarded(app: FastAPI, processor: Processor, routers: tuple[APIRouter, ...], guard: Guard) -> ASGIApp:
    app.state.processor = processor
    app.state.max_body_bytes = guard.max_body_bytes
    errors.install(app)
    for router in routers:
        app.include_router(router)
    return FrontDoor(app, guard)
