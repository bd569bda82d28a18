"""A knowledge base over HTTP: its patterns, its symbols, their statistics. Mounted by `application`."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from kato_service.api import findings, shown
from kato_service.api.context import about
from kato_service.api.errors import documented
from kato_service.api.json import Json, StrictRoute
from kato_service.api.parts import Asked, Cursor, Limit, read_cursor, write_cursor
from kato_service.engine.model import PatternRecord
from kato_service.engine.naming import bare_name
from kato_service.processor.errors import PatternNotFound

router = APIRouter(tags=["knowledge"], route_class=StrictRoute)
Name = Annotated[str, Path(description="The pattern's name, with or without `PTRN|`.")]
Symbol = Annotated[str, Path(description="The symbol; a slash in it may stand as it is.")]


@router.get("/pattern/{name}", response_model=findings.PatternAnswer, responses=documented(404))
async def pattern(name: Name, knowledge: Asked) -> Json:
    """Show one pattern, by its name with or without `PTRN|`."""
    record = knowledge.matcher.record(bare_name(name))
    if record is None:
        raise PatternNotFound(name, knowledge.node)
    about(node=knowledge.node)
    return Json({"pattern": {"status": "okay", "pattern": shown.pattern(record)}, "node_id": knowledge.node})


@router.get("/patterns", response_model=findings.PatternsPage, responses=documented())
async def patterns(
    knowledge: Asked,
    prefix: Annotated[str, Query(description="Only names that begin so, with or without `PTRN|`.")] = "",
    contains: Annotated[str | None, Query(description="Only patterns that hold this symbol.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Json:
    """List the patterns by name, page by page; `total` counts the whole knowledge base."""
    after = read_cursor(cursor, (str,))[0] if cursor else ""
    matcher, start = knowledge.matcher, bare_name(prefix)
    records = (matcher.record(name) for name in matcher.names() if name > after and name.startswith(start))
    page = list(islice((record for record in records if record and _holds(record, contains)), limit))
    about(node=knowledge.node)
    return Json(
        {
            "patterns": [shown.pattern(record) for record in page],
            "total": matcher.totals().total_unique_patterns,
            "next_cursor": write_cursor([page[-1].name]) if len(page) == limit else None,
            "node_id": knowledge.node,
        }
    )


@router.get("/symbols/stats", response_model=findings.Symbols, responses=documented())
async def statistics(knowledge: Asked) -> Json:
    """Show every symbol's statistics and the knowledge base's totals."""
    matcher = knowledge.matcher
    totals = matcher.totals()
    about(node=knowledge.node)
    return Json(
        {
            "symbols": {symbol: matcher.symbol(symbol) for symbol in matcher.symbols()},
            "totals": {
                "total_unique_patterns": totals.total_unique_patterns,
                "total_pattern_frequencies": totals.total_pattern_frequencies,
                "total_symbol_frequencies": totals.total_symbol_frequencies,
                "symbols": totals.symbols,
            },
            "node_id": knowledge.node,
        }
    )


@router.get("/symbols/affinity", response_model=findings.Affinities, responses=documented())
async def affinities(knowledge: Asked) -> Json:
    """Show the affinity of every symbol that has one, by emotive."""
    matcher = knowledge.matcher
    found = {symbol: _affinity(knowledge, symbol) for symbol in matcher.symbols()}
    about(node=knowledge.node)
    return Json({"affinities": {symbol: each for symbol, each in found.items() if each}, "node_id": knowledge.node})


@router.get("/symbols/{symbol:path}/affinity", response_model=findings.Affinity, responses=documented())
async def affinity(symbol: Symbol, knowledge: Asked) -> Json:
    """Show one symbol's affinity by emotive; none for a symbol that is unknown."""
    about(node=knowledge.node)
    return Json({"symbol": symbol, "affinity": _affinity(knowledge, symbol), "node_id": knowledge.node})


def _affinity(knowledge: Asked, symbol: str) -> dict[str, Any]:
    found = knowledge.matcher.symbol(symbol)
    return dict(found.affinity) if found else {}


def _holds(record: PatternRecord, symbol: str | None) -> bool:
    return symbol is None or any(symbol in event for event in record.events)
