"""The operator's side door: parameters and declarations come in, the observed state goes out.

Served on a port of its own, behind a token of its own (spec: service.md and operator.md).
"""

from __future__ import annotations

from fastapi import APIRouter, Request

from kato_service.api.errors import documented
from kato_service.api.json import Json, StrictRoute
from kato_service.api.parts import serving
from kato_service.processor.errors import InvalidRecord
from kato_service.processor.processor import Processor
from kato_spec.records import DeclarationRecord, ParametersRecord

router = APIRouter(prefix="/internal", tags=["side door"], route_class=StrictRoute, strict_content_type=False)


@router.put("/parameters", responses=documented(400, "STALE_GENERATION"))
async def parameters(record: ParametersRecord, request: Request) -> Json:
    """Make a parameters record live; sessions resolve with it from their next call on."""
    processor = serving(request)
    await processor.configure(record)
    live = processor.parameters.record
    return Json({"generation": live.generation if live else None})


@router.put("/declarations/{uid}", responses=documented(400, "INVALID_RECORD", "STALE_GENERATION"))
async def declare(uid: str, record: DeclarationRecord, request: Request) -> Json:
    """Bring a declared session to what its record says; it is Active when this answers, unless it has expired."""
    processor = serving(request)
    if record.uid != uid:
        raise InvalidRecord("uid", record.uid, f"{uid!r}, which the path names")
    declared = await processor.declarations.put(record)
    return Json(declared.model_dump_json().encode())


@router.delete("/declarations/{uid}", responses=documented("DECLARATION_NOT_FOUND"))
async def withdraw(uid: str, request: Request) -> Json:
    """Remove a declaration and its session."""
    processor = serving(request)
    await processor.declarations.withdraw(uid)
    return Json({"status": "deleted", "uid": uid})


@router.get("/state", responses=documented())
async def state(request: Request) -> Json:
    """Show which generation is live, the counts, and every declared session; a store that is away is told first."""
    processor: Processor = request.app.state.processor
    await processor.check_stores()
    processor.check_loaded()
    return Json((await processor.state()).model_dump_json().encode())
