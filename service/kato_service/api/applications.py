"""The two ASGI applications: the API and the operator's side door. Called by the composition root and by tests."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from kato_service.api import default, errors, internal, knowledge, probes, sessions, streams
from kato_service.api.front_door import FrontDoor, Guard
from kato_service.processor.processor import Processor

DESCRIPTION = """
A KATO processor observes sequences of events, learns them as patterns and predicts from them, and says for every
prediction which pattern it comes from.

* **Sessions.** `POST /sessions` with a `user_id` gives you a session: a short-term memory of its own over the knowledge
  base of that user. Calls without a session act on the processor's default session.
* **Observe, learn, predict.** `observe` adds events to the short-term memory, `learn` makes a pattern of it, and
  `predictions` shows the patterns that it recalls.
* **Retries.** `observe`, `observe-sequence` and `learn` take an `Idempotency-Key`: a retry within 24 hours gets the
  first answer and counts once. A 429 or 503 says by `Retry-After` when to ask again.
* **Errors** have one shape: `detail` says what is wrong, `error.code` is for programs.
"""


def api(processor: Processor, *, tokens: tuple[str, ...] = (), max_body_bytes: int) -> ASGIApp:
    """Return the API of one processor; no `tokens`, no authentication."""
    app = FastAPI(title="KATO", version=probes.VERSION, description=DESCRIPTION, strict_content_type=False)
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
