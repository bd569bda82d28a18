"""Sessions over HTTP: made, listed, read, configured, extended, let go. Mounted by `application`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request

from kato_service.api import answers, shown, wire
from kato_service.api.context import about
from kato_service.api.errors import documented
from kato_service.api.json import Json, StrictRoute
from kato_service.api.parts import Cursor, Limit, SessionId, queried_node, read_cursor, serving, write_cursor
from kato_service.processor.model import Session
from kato_service.processor.ports import Position
from kato_service.processor.sessions import NOTHING
from kato_spec.errors import Rejected
from kato_spec.parameters import parse_overrides

router = APIRouter(tags=["sessions"], route_class=StrictRoute, strict_content_type=False)
CONFIG_EXAMPLES: list[Any] = [{"recall_threshold": 0.4, "max_predictions": None}, {"config": {"max_predictions": 20}}]
ConfigBody = Annotated[dict[str, Any], Body(examples=CONFIG_EXAMPLES)]


@router.post("/sessions", response_model=answers.CreatedSession, responses=documented(400, 429))
async def create(body: wire.NewSession, request: Request) -> Json:
    """Make a session for a user. One bad value in `config` and nothing is made; unknown keys are named in `ignored`."""
    processor = serving(request)
    ignored = parse_overrides(body.config or {}).ignored
    session = processor.sessions.new(
        body.node, ttl_seconds=body.ttl_seconds, metadata=body.metadata, config=body.config
    )
    await processor.sessions.keep(session)
    about(session.id, session.node)
    return Json({**shown.session_answer(processor, session), "ignored": ignored})


@router.get("/sessions", response_model=answers.SessionsPage, responses=documented())
async def listing(
    request: Request,
    user_id: Annotated[str | None, Query(min_length=1, description="Only this user's.")] = None,
    node_id: Annotated[str | None, Query(min_length=1, description="Another name of user_id.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Json:
    """List the sessions that are alive, newest first, of one user or of all, page by page."""
    processor = serving(request)
    after = Position(*read_cursor(cursor, (float, str))) if cursor else None
    page = await processor.sessions.page(node=queried_node(node_id, user_id), after=after, limit=limit)
    last = page.sessions[-1] if len(page.sessions) == limit else None
    return Json(
        {
            "sessions": [shown.session_answer(processor, session) for session in page.sessions],
            "total": page.total,
            "next_cursor": write_cursor([last.created_at, last.id]) if last else None,
        }
    )


@router.get("/sessions/count", response_model=answers.SessionCount, responses=documented())
async def count(request: Request) -> Json:
    """Count the sessions that are alive."""
    processor = serving(request)
    return Json({"active_session_count": await processor.sessions.count()})


@router.get("/sessions/{session_id}", response_model=answers.Session, responses=documented(404))
async def read(session_id: SessionId, request: Request) -> Json:
    """Show one session."""
    processor = serving(request)
    session = await processor.sessions.open(session_id)
    about(session.id, session.node)
    return Json(shown.session_answer(processor, session))


@router.delete("/sessions/{session_id}", response_model=answers.Deleted, responses=documented(404))
async def delete(session_id: SessionId, request: Request) -> Json:
    """Remove one session; what it has learned stays."""
    processor = serving(request)
    await processor.delete(session_id)
    about(session_id)
    return Json({"status": "deleted", "session_id": session_id})


@router.get("/sessions/{session_id}/exists", response_model=answers.Exists, responses=documented())
async def exists(session_id: SessionId, request: Request) -> Json:
    """Say whether a session is alive, without extending its life; 200 also when it is not.

    `expired` is true for the short while in which an expired session has not been removed yet; after that, as for one
    that never was, both are false.
    """
    processor = serving(request)
    session = await processor.sessions.store.get(session_id)
    alive = session is not None and session.expires_at > processor.clock.now()
    return Json({"exists": alive, "expired": session is not None and not alive, "session_id": session_id})


@router.get("/sessions/{session_id}/config", response_model=answers.Configured, responses=documented(404))
async def configuration(session_id: SessionId, request: Request) -> Json:
    """Show a session's configuration with every key resolved."""
    processor = serving(request)
    session = await processor.sessions.open(session_id)
    about(session.id, session.node)
    return Json(_configured(session, shown.configuration(processor, session), ()))


@router.put("/sessions/{session_id}/config", response_model=answers.Configured, responses=documented(400, 404))
@router.post("/sessions/{session_id}/config", response_model=answers.Configured, responses=documented(400, 404))
async def configure(session_id: SessionId, body: ConfigBody, request: Request) -> Json:
    """Merge keys into a session's configuration, all or none; null resets a key to the processor's value.

    The keys stand in the body itself or under `config`. Unknown ones change nothing and are named in `ignored`.
    """
    processor = serving(request)
    inner = body.get("config", body)
    if not isinstance(inner, dict):
        raise Rejected("config", inner, "an object of parameters and their values")
    update = parse_overrides(inner)

    async def step(session: Session) -> tuple[Session, None]:
        kept = {key: value for key, value in session.config.items() if key not in update.resets}
        return replace(session, config={**kept, **update.values}), None

    session = (await processor.sessions.act(session_id, step, NOTHING)).session
    about(session.id, session.node)
    return Json(_configured(session, shown.configuration(processor, session), update.ignored))


@router.post("/sessions/{session_id}/extend", response_model=answers.Extended, responses=documented(404))
async def extend(
    session_id: SessionId,
    request: Request,
    body: wire.Extending | None = None,
    ttl_seconds: Annotated[
        int | None, Query(ge=1, le=wire.MAX_TTL, description="The same, for who sends no body.")
    ] = None,
) -> Json:
    """Give a session a new time to live, counted from now; without one, its own again."""
    processor = serving(request)
    asked = (body.ttl_seconds if body else None) or ttl_seconds

    async def step(session: Session) -> tuple[Session, None]:
        ttl = asked or session.ttl_seconds
        now = processor.clock.now()
        return replace(session, ttl_seconds=ttl, last_activity=now, expires_at=now + ttl), None

    session = (await processor.sessions.act(session_id, step, NOTHING)).session
    about(session.id, session.node)
    expires = shown.moment(session.expires_at)
    return Json(
        {"status": "extended", "session_id": session.id, "ttl_seconds": session.ttl_seconds, "expires_at": expires}
    )


def _configured(session: Session, config: dict[str, Any], ignored: tuple[str, ...]) -> dict[str, Any]:
    return {
        "status": "okay",
        "session_id": session.id,
        "node_id": session.node,
        "user_id": session.node,
        "config": config,
        "ignored": ignored,
    }
