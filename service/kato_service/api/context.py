"""What is known of the request that is being answered. Written by the front door and the routes, read by the log."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class RequestFacts:
    """The request's id, and the session and node it turned out to be about."""

    request_id: str
    session: str | None = None
    node: str | None = None


_facts: ContextVar[RequestFacts] = ContextVar("request_facts")


def begin(facts: RequestFacts) -> None:
    """Make `facts` those of the request that this task answers."""
    _facts.set(facts)


def about(session: str | None = None, node: str | None = None) -> None:
    """Note which session and node the request is about."""
    facts = _facts.get()
    facts.session, facts.node = session or facts.session, node or facts.node


def request_id() -> str:
    """Return the id of the request that this task answers."""
    return _facts.get().request_id
