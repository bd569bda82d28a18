"""A knowledge base over HTTP: its patterns, its symbols, their statistics. Mounted by `application`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query

from kato_service.api import findings, shown
from kato_service.api.context import about
from kato_service.api.errors import documented
from kato_service.api.json import Json, StrictRoute
from kato_service.api.parts import Asked, Cursor, Limit, read_cursor, write_cursor
from kato_service.engine.model import Matcher, PatternRecord
from kato_service.engine.naming import bare_name
from kato_service.processor.errors import PatternNotFound

router = APIRouter(tags=["knowledge"], route_class=StrictRoute)
Name = Annotated[str, Path(description="The pattern's name, with or without `PTRN|`.")]
Symbol = Annotated[str, Path(description="The symbol; a slash in it may stand as it is.")]


@router.get("/pattern/{name}", response_model=findings.PatternAnswer, responses=documented("PATTERN_NOT_FOUND"))
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
    about(node=knowledge.node)

    def page(matcher: Matcher) -> Mapping[str, Any]:
        names = matcher.names(after, bare_name(prefix), contains, limit)
        return {
            "patterns": _listed(filter(None, map(matcher.record, names))),
            "total": matcher.totals().total_unique_patterns,
            "next_cursor": write_cursor([names[-1]]) if len(names) == limit else None,
        }

    return Json({**await knowledge.ask(page), "node_id": knowledge.node})


@router.get("/symbols/stats", response_model=findings.Symbols, responses=documented())
async def statistics(knowledge: Asked) -> Json:
    """Show every symbol's statistics and the knowledge base's totals."""
    about(node=knowledge.node)
    symbols, totals = await knowledge.ask(lambda matcher: (matcher.statistics(), matcher.totals()))
    return Json({"symbols": orjson.Fragment(symbols), "totals": totals, "node_id": knowledge.node})


@router.get("/symbols/affinity", response_model=findings.Affinities, responses=documented())
async def affinities(knowledge: Asked) -> Json:
    """Show the affinity of every symbol that has one, by emotive."""
    about(node=knowledge.node)
    found = await knowledge.ask(lambda matcher: matcher.affinities())
    return Json({"affinities": orjson.Fragment(found), "node_id": knowledge.node})


@router.get("/symbols/{symbol:path}/affinity", response_model=findings.Affinity, responses=documented())
async def affinity(symbol: Symbol, knowledge: Asked) -> Json:
    """Show one symbol's affinity by emotive; none for a symbol that is unknown."""
    about(node=knowledge.node)
    found = knowledge.matcher.symbol(symbol)
    return Json({"symbol": symbol, "affinity": found.affinity if found else {}, "node_id": knowledge.node})


def _listed(records: Iterable[PatternRecord]) -> orjson.Fragment:
    # One by one, so that the event loop gets its turn between two long patterns.
    return orjson.Fragment(b"[%b]" % b",".join(orjson.dumps(shown.pattern(record)) for record in records))
