"""What routes need besides their bodies: the processor, the retry key, the node of a knowledge base, cursors."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Path, Query, Request

from kato_service.processor.knowledge import Knowledge
from kato_service.processor.processor import DEFAULT_NODE, Processor
from kato_service.processor.sessions import Retry
from kato_spec.errors import Rejected, shown

MAX_KEY = 255
KEYED: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
            "description": "A retry with the same key within 24 hours gets the first answer and counts once.",
        }
    ]
}


def serving(request: Request) -> Processor:
    """Return the processor that serves, a plain call because the busiest routes make it.

    Raises:
        StillLoading: its memory is not whole yet.
    """
    processor: Processor = request.app.state.processor
    processor.check_loaded()
    return processor


def idempotency_key(request: Request) -> str | None:
    """Return the request's idempotency key, None when it has none.

    Raises:
        Rejected: the key is empty or too long.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= MAX_KEY:
        raise Rejected("Idempotency-Key", key, f"1 to {MAX_KEY} characters")
    return key


async def retrying(request: Request, operation: str) -> Retry | None:
    """Return what makes the request a repeatable one, None when it has no key; `KEYED` documents the header.

    `operation` names what is asked; the path does not, as the default session is reached by several.

    Raises:
        Rejected: the key is empty or too long.
    """
    key = idempotency_key(request)
    if key is None:
        return None
    asked = hashlib.sha256(operation.encode() + b"\0" + await request.body())
    return Retry(key, asked.hexdigest())


def queried_node(node_id: str | None, user_id: str | None) -> str | None:
    """Return the node that a query names by either of its two names, None when it names none.

    Raises:
        Rejected: it names two.
    """
    if node_id and user_id and node_id != user_id:
        raise Rejected("user_id", user_id, f"what node_id says, {shown(node_id)}, or one of the two alone")
    return node_id or user_id


async def _knowledge(
    request: Request,
    node_id: Annotated[str | None, Query(min_length=1, description="Whose knowledge base.")] = None,
    user_id: Annotated[str | None, Query(min_length=1, description="An older name of node_id.")] = None,
    x_node_id: Annotated[str | None, Header(min_length=1, description="The same, where the query has none.")] = None,
) -> Knowledge:
    return await serving(request).library.read(queried_node(node_id, user_id) or x_node_id or DEFAULT_NODE)


SessionId = Annotated[str, Path(description="The session, as its creation names it.", examples=["kato.default"])]
Asked = Annotated[Knowledge, Depends(_knowledge)]
Limit = Annotated[int, Query(ge=1, le=1000, description="The most entries in one page.")]
Cursor = Annotated[str | None, Query(description="The `next_cursor` of the page before.")]


def write_cursor(place: list[Any]) -> str:
    """Write a place in a listing as an opaque cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def read_cursor(cursor: str, kinds: tuple[type, ...]) -> list[Any]:
    """Read what `write_cursor` wrote; each item must be of its kind.

    Raises:
        Rejected: it is no cursor of this listing.
    """
    try:
        place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        place = None
    if not isinstance(place, list) or [type(item) for item in place] != list(kinds):
        raise Rejected("cursor", cursor, "the next_cursor of the page before")
    return place
