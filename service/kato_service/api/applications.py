"""The two ASGI applications: the API and the operator's side door. Called by the composition root and by tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp

from kato_service.api import (
    default,
    errors,
    events,
    internal,
    knowledge,
    monitoring,
    probes,
    sessions,
    streams,
    transfer,
)
from kato_service.api.front_door import FrontDoor, Guard
from kato_service.api.meter import Meter
from kato_service.api.monitor import Monitor
from kato_service.processor.processor import Processor

DESCRIPTION = """
A KATO processor observes sequences of events, learns them as patterns and predicts from them, and says for every
prediction which pattern it comes from.

* **Sessions.** `POST /sessions` with a `user_id` gives you a session: a short-term memory of its own over the knowledge
  base of that user. Calls without a session act on the processor's default session.
* **Observe, learn, predict.** `observe` adds events to the short-term memory, `learn` makes a pattern of it, and
  `predictions` shows the patterns that it recalls.
* **Retries.** `observe`, `observe-sequence` and `learn` take an `Idempotency-Key`: a retry within 24 hours gets the
  first answer and counts once. A 429 or 503 says by `Retry-After` when to ask again; after a 503
  `STORE_UNAVAILABLE` a call without a key may have taken effect.
* **Errors** have one shape: `detail` says what is wrong, `error.code` is for programs.
"""

# Relative, so that the pages and what is tried out on them work behind any prefix that a gateway puts before it all.
DOCUMENT = "openapi.json"
SERVERS = [{"url": ".", "description": "where this document comes from"}]


class _Api(FastAPI):
    """The API; its document has the schemas of errors, and the nulls of the examples, which FastAPI drops."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["schemas"] |= errors.schemas()
        for route in self.routes:
            model = getattr(route, "response_model", None)
            if model is not None:
                example = model.model_config["json_schema_extra"]["example"]
                document["components"]["schemas"][model.__name__]["example"] = example
        return document


def new_monitor(processor: Processor, data_dir: Path | None = None) -> Monitor:
    """Return what counts and samples for the API of `processor`; its `run` takes the samples."""
    return Monitor(processor, Meter(), data_dir)


def api(monitor: Monitor, guard: Guard) -> ASGIApp:
    """Return the API of the monitored processor."""
    app = _Api(
        title="KATO",
        version=probes.VERSION,
        description=DESCRIPTION,
        openapi_url=f"/{DOCUMENT}",
        servers=SERVERS,
        docs_url=None,
        redoc_url=None,
    )
    app.add_route("/docs", _swagger, include_in_schema=False)
    app.add_route("/redoc", _redoc, include_in_schema=False)
    # The busiest come first: routes are tried in this order.
    routers = (
        streams.router,
        probes.router,
        sessions.router,
        default.router,
        knowledge.router,
        monitoring.router,
        transfer.router,
        events.router,
    )
    app.state.monitor = monitor
    app.state.max_requests = guard.max_requests
    app.state.spool = monitor.disk
    return _guarded(app, monitor.processor, routers, guard, monitor.meter)


async def _swagger(_: Request) -> HTMLResponse:
    return get_swagger_ui_html(openapi_url=DOCUMENT, title="KATO")


async def _redoc(_: Request) -> HTMLResponse:
    return get_redoc_html(openapi_url=DOCUMENT, title="KATO")


def side_door(processor: Processor, guard: Guard) -> ASGIApp:
    """Return the side door of one processor; its requests are not counted among the API's."""
    app = FastAPI(title="KATO side door", openapi_url=None)
    return _guarded(app, processor, (internal.router,), guard, Meter())


def _guarded(app: FastAPI, processor: Processor, routers: tuple[APIRouter, ...], guard: Guard, meter: Meter) -> ASGIApp:
    app.state.processor = processor
    app.state.max_body_bytes = guard.max_body_bytes
    errors.install(app)
    # As they are: no prefix is put before them, and each request finds its route in one list.
    app.router.routes[:0] = [route for router in routers for route in router.routes]
    return FrontDoor(app, guard, meter, lambda: processor.draining)
