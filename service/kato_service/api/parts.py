"""What routes need besides their bodies: the processor, the retry key, the node of a knowledge base, cursors.

Called by the routes as FastAPI dependencies.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Query, Request

from kato_service.processor.knowledge import Knowledge
from kato_service.processor.processor import DEFAULT_NODE, Processor
from kato_service.processor.sessions import Retry
from kato_spec.errors import Rejected


async def _processor(request: Request) -> Processor:
    processor: Processor = request.app.state.processor
    processor.check_ready()
    return processor


async def _retry(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=255, description="A retry with the same key within 24 h counts once."),
    ] = None,
) -> Retry | None:
    if idempotency_key is None:
        return None
    asked = hashlib.sha256(request.url.path.encode() + b"\0" + await request.body())
    return Retry(idempotency_key, asked.hexdigest())


Serving = Annotated[Processor, Depends(_processor)]
Retrying = Annotated[Retry | None, Depends(_retry)]


async def _knowledge(
    processor: Serving,
    node_id: Annotated[str | None, Query(min_length=1, description="Whose knowledge base.")] = None,
    user_id: Annotated[str | None, Query(min_length=1, description="An older name of node_id.")] = None,
    x_node_id: Annotated[str | None, Header(min_length=1, description="The same, where the query has none.")] = None,
) -> Knowledge:
    return await processor.library.read(node_id or user_id or x_node_id or DEFAULT_NODE)


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
