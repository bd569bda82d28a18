"""How values of the processor look in answers. Called by the routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from kato_service.engine.model import PatternRecord
from kato_service.engine.naming import flatten, shown_name
from kato_service.processor.model import Session
from kato_service.processor.processor import Processor


def moment(seconds: float) -> str:
    """Write a time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def configuration(processor: Processor, session: Session) -> dict[str, Any]:
    """Return a session's configuration with every key resolved."""
    return processor.parameters.resolve(session.config).model_dump()


def session_answer(processor: Processor, session: Session) -> dict[str, Any]:
    """Return a session as creation, reading and listing show it."""
    return {
        "session_id": session.id,
        "node_id": session.node,
        "user_id": session.node,
        "created_at": moment(session.created_at),
        "expires_at": moment(session.expires_at),
        "last_activity": moment(session.last_activity),
        "ttl_seconds": session.ttl_seconds,
        "stm_length": len(session.stm),
        "time": session.time,
        "metadata": session.metadata,
        "session_config": configuration(processor, session),
    }


def pattern_name(bare: str) -> str:
    """Return the name as learn shows it, empty for none."""
    return shown_name(bare) if bare else ""


def pattern(record: PatternRecord) -> dict[str, Any]:
    """Return a pattern as `GET /pattern/{name}` and `GET /patterns` show it."""
    return {
        "name": shown_name(record.name),
        "pattern_data": record.events,
        "length": len(flatten(record.events)),
        "frequency": record.frequency,
        "emotives": record.emotives,
        "metadata": record.metadata,
    }


def percept(session: Session) -> Mapping[str, Any]:
    """Return what the session's last accepted observation held; empty before the first."""
    if session.percept is None:
        return {}
    return {**asdict(session.percept.observation), "time": session.percept.time}
