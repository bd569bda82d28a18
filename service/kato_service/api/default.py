"""The calls of clients from before sessions, on the processor's default session. Mounted by `application`."""

from __future__ import annotations

from fastapi import APIRouter, Request

from kato_service.api import answers, streams, wire
from kato_service.api.errors import documented
from kato_service.api.json import Json, StrictRoute
from kato_service.api.parts import KEYED, serving

router = APIRouter(tags=["default session"], route_class=StrictRoute, strict_content_type=False)


@router.post(
    "/observe",
    response_model=answers.Observed,
    responses=documented("VectorDimensionError", 422, "IDEMPOTENCY_KEY_REUSED"),
    openapi_extra=KEYED,
)
async def observe(body: wire.Observing, request: Request) -> Json:
    """Observe, on the default session."""
    return await streams.observe(await serving(request).open_default(), body, request)


@router.post(
    "/learn",
    response_model=answers.Learned,
    responses=documented("EMPTY_STM", "VectorDimensionError", 422, "IDEMPOTENCY_KEY_REUSED"),
    openapi_extra=KEYED,
)
async def learn(request: Request) -> Json:
    """Learn, on the default session."""
    return await streams.learn(await serving(request).open_default(), request)


@router.post("/clear-stm", response_model=answers.Cleared, responses=documented())
async def clear_stm(request: Request) -> Json:
    """Empty the default session's short-term memory."""
    return await streams.clear_stm(await serving(request).open_default(), request)


@router.post("/clear-all", response_model=answers.Cleared, responses=documented())
@router.post("/clear-all-memory", response_model=answers.Cleared, responses=documented())
async def clear_all(request: Request) -> Json:
    """Empty the default session's short-term memory and forget what the default node has learned."""
    return await streams.clear_all(await serving(request).open_default(), request)


@router.get("/stm", response_model=answers.Stm, responses=documented())
async def stm(request: Request) -> Json:
    """Show the default session's short-term memory."""
    return await streams.stm(await serving(request).open_default(), request)


@router.get("/predictions", response_model=answers.Predictions, responses=documented(400))
async def predictions(
    request: Request,
    max_predictions: streams.MaxPredictions = None,
    recall_threshold: streams.RecallThreshold = None,
    rank_sort_algo: streams.RankSortAlgo = None,
) -> Json:
    """Predict from the default session's short-term memory."""
    session_id = await serving(request).open_default()
    return await streams.predictions(session_id, request, max_predictions, recall_threshold, rank_sort_algo)


@router.get("/percept-data", response_model=answers.PerceptData, responses=documented())
async def percept_data(request: Request) -> Json:
    """Show what the default session's last observation held."""
    return await streams.percept_data(await serving(request).open_default(), request)


@router.get("/cognition-data", response_model=answers.CognitionData, responses=documented())
async def cognition_data(request: Request) -> Json:
    """Show what the default session has in mind."""
    return await streams.cognition_data(await serving(request).open_default(), request)
