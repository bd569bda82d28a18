"""A memory as one file of JSON Lines: out by `GET /export`, in by `POST /import`. Mounted by `applications`."""

from __future__ import annotations

import tempfile
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from kato_service.api import findings
from kato_service.api.context import about
from kato_service.api.errors import documented
from kato_service.api.json import Json
from kato_service.api.parts import KEYED, idempotency_key, queried_node, serving
from kato_service.processor import importing
from kato_service.processor.export import export

router = APIRouter(tags=["export and import"])
LINES = "application/x-ndjson"
SPOOL_BYTES = 8 * 1024 * 1024  # kept in memory; a longer import waits on disk
EXPORTED = (
    '{"kato_memory":1,"nodes":0,"patterns":0}\n'
    '{"end":{"patterns":0,"vectors":0,"sha256":"cd1c5f0a0a6a6a15a4a4ad9a38a9a4f1c1e1cd2b0ff5a7b0e0e0a1c1f0b1d2e3"}}\n'
)
CONTENT: dict[str, Any] = {LINES: {"schema": {"type": "string"}, "example": EXPORTED}}
BODY: dict[str, Any] = {"requestBody": {"required": True, "content": CONTENT}, **KEYED}


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={**documented(), 200: {"content": CONTENT, "description": "The memory, its digest in the last line."}},
)
async def export_memory(
    request: Request,
    node_id: Annotated[str | None, Query(min_length=1, description="One node's; left out: every node's.")] = None,
    user_id: Annotated[str | None, Query(min_length=1, description="An older name of node_id.")] = None,
) -> Response:
    """Stream the memory as it stands at this moment: JSON Lines, the last of which has the digest of all before.

    The same memory gives the same bytes. Learning goes on meanwhile and is not in them.
    """
    processor = serving(request)
    node = queried_node(node_id, user_id)
    about(node=node)
    headers = {"Content-Disposition": f'attachment; filename="{processor.id}.kato.jsonl"'}
    return StreamingResponse(await export(processor, node), media_type=LINES, headers=headers)


@router.post(
    "/import",
    response_model=findings.Imported,
    responses=documented("VectorDimensionError", "MEMORY_NOT_EMPTY", 422, "INVALID_EXPORT"),
    openapi_extra=BODY,
)
async def import_memory(
    request: Request,
    node_id: Annotated[
        str | None, Query(min_length=1, max_length=1024, description="Whose it becomes; left out: whose it was.")
    ] = None,
    user_id: Annotated[
        str | None, Query(min_length=1, max_length=1024, description="An older name of node_id.")
    ] = None,
    merge: Annotated[bool, Query(description="Add to a memory that holds something already.")] = False,
) -> Json:
    """Take in an export, of any length, once all of it has come and is found whole; a bad one changes nothing.

    Into a memory that holds something it goes only by `merge`, which adds frequencies and statistics exactly. With an
    Idempotency-Key, asking again finishes an import that was cut off and counts nothing twice.
    """
    processor = serving(request)
    key, node = idempotency_key(request), queried_node(node_id, user_id)
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=request.app.state.spool) as spool:
        check = await importing.receive(request.stream(), spool, request.app.state.max_body_bytes)
        imported = await importing.take_in(processor, spool, check, node=node, merge=merge, key=key)
    about(node=node)
    nodes = [
        {"node_id": name, "patterns": counted.patterns, "vectors": counted.vectors}
        for name, counted in imported.nodes.items()
    ]
    return Json(
        {
            "status": "imported",
            "patterns": sum(counted.patterns for counted in imported.nodes.values()),
            "vectors": sum(counted.vectors for counted in imported.nodes.values()),
            "nodes": nodes,
            "sha256": imported.sha256,
        }
    )
