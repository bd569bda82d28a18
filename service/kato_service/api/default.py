"""The calls of clients from before sessions, on the processor's default session. Mounted by `application`."""

from __future__ import annotations

from fastapi import APIRouter

from kato_service.api import streams, wire
from kato_service.api.errors import documented
from kato_service.api.json import Json, StrictRoute
from kato_service.api.parts import Retrying, Serving

router = APIRouter(tags=["default session"], route_class=StrictRoute)


@router.post("/observe", responses=documented(400))
async def observe(body: wire.Observing, processor: Serving, retry: Retrying) -> Json:
    """Observe, on the default session."""
    return await streams.observe(await processor.open_default(), body, processor, retry)


@router.post("/learn", responses=documented(400))
async def learn(processor: Serving, retry: Retrying) -> Json:
    """Learn, on the default session."""
    return await streams.learn(await processor.open_default(), processor, retry)


@router.post("/clear-stm", responses=documented())
async def clear_stm(processor: Serving) -> Json:
    """Empty the default session's short-term memory."""
    return await streams.clear_stm(await processor.open_default(), processor)


@router.post("/clear-all", responses=documented())
@router.post("/clear-all-memory", responses=documented())
async def clear_all(processor: Serving) -> Json:
    """Empty the default session's short-term memory and forget what the default node has learned."""
    return await streams.clear_all(await processor.open_default(), processor)


@router.get("/stm", responses=documented())
async def stm(processor: Serving) -> Json:
    """Show the default session's short-term memory."""
    return await streams.stm(await processor.open_default(), processor)


@router.get("/predictions", responses=documented(400))
async def predictions(
    processor: Serving,
    max_predictions: streams.MaxPredictions = None,
    recall_threshold: streams.RecallThreshold = None,
    rank_sort_algo: streams.RankSortAlgo = None,
) -> Json:
    """Predict from the default session's short-term memory."""
    session_id = await processor.open_default()
    return await streams.predictions(session_id, processor, max_predictions, recall_threshold, rank_sort_algo)


@router.get("/percept-data", responses=documented())
async def percept_data(processor: Serving) -> Json:
    """Show what the default session's last observation held."""
    return await streams.percept_data(await processor.open_default(), processor)


@router.get("/cognition-data", responses=documented())
async def cognition_data(processor: Serving) -> Json:
    """Show what the default session has in mind."""
    return await streams.cognition_data(await processor.open_default(), processor)
