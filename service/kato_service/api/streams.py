"""What a session does: observe, learn, predict, and show what it holds. Mounted by `application`.

Each call is there twice: on a session of its own, and, for clients from before sessions, on the default one.
"""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request

from kato_service.api import answers, shown, wire
from kato_service.api.context import about
from kato_service.api.errors import documented
from kato_service.api.json import Json, StrictRoute, spliced
from kato_service.api.parts import KEYED, SessionId, retrying, serving
from kato_service.engine import limits
from kato_service.processor import learn as learning
from kato_service.processor import observe as observing
from kato_service.processor import predict as predicting
from kato_service.processor.model import Session
from kato_service.processor.processor import Processor

router = APIRouter(tags=["streams"], route_class=StrictRoute, strict_content_type=False)
MaxPredictions = Annotated[int | None, Query(description="Overrides the session's.")]
RecallThreshold = Annotated[float | None, Query(description="Overrides the session's.")]
RankSortAlgo = Annotated[str | None, Query(description="Overrides the session's.")]


@router.post(
    "/sessions/{session_id}/observe",
    response_model=answers.Observed,
    responses=documented("VectorDimensionError", 404, 422, "IDEMPOTENCY_KEY_REUSED"),
    openapi_extra=KEYED,
)
async def observe(session_id: SessionId, body: wire.Observing, request: Request) -> Json:
    """Observe symbols, vectors, emotives and metadata together."""
    processor = serving(request)
    done = await observing.observe(processor, session_id, body.accepted(), await retrying(request, "observe"))
    observed = done.result
    return Json(
        {
            "status": "okay",
            **_who(processor, done.session),
            "stm_length": observed.stm_length,
            "time": observed.time,
            "unique_id": observed.unique_id,
            "auto_learned_pattern": shown.pattern_name(observed.auto_learned) or None,
            "at_rest": observed.at_rest,
        }
    )


@router.post(
    "/sessions/{session_id}/observe-sequence",
    response_model=answers.SequenceObserved,
    responses=documented("VectorDimensionError", 404, 422, "IDEMPOTENCY_KEY_REUSED"),
    openapi_extra=KEYED,
)
async def observe_sequence(session_id: SessionId, body: wire.ObservingSequence, request: Request) -> Json:
    """Observe several times, all or nothing, and learn after each, at the end, or not at all."""
    processor = serving(request)
    plan = observing.Plan(body.learn_after_each, body.learn_at_end, body.clear_stm_between)
    retry = await retrying(request, "observe-sequence")
    done = await observing.observe_sequence(processor, session_id, body.accepted(), plan, retry)
    observed = done.result
    results = [
        {
            "status": "okay",
            "sequence_position": position,
            "stm_length": each.stm_length,
            "time": each.time,
            "unique_id": each.unique_id,
            "auto_learned_pattern": shown.pattern_name(each.auto_learned) or None,
        }
        for position, each in enumerate(observed.results)
    ]
    return Json(
        {
            "status": "okay",
            **_who(processor, done.session),
            "observations_processed": len(results),
            "initial_stm_length": observed.initial_stm_length,
            "final_stm_length": observed.final_stm_length,
            "results": results,
            "auto_learned_patterns": [shown.pattern_name(name) for name in observed.auto_learned],
            "final_learned_pattern": shown.pattern_name(observed.final_learned) or None,
            "isolated": plan.clear_stm_between,
        }
    )


@router.get("/sessions/{session_id}/stm", response_model=answers.Stm, responses=documented(404))
async def stm(session_id: SessionId, request: Request) -> Json:
    """Show the session's short-term memory, oldest event first."""
    processor = serving(request)
    session = await processor.sessions.open(session_id)
    return Json({"stm": session.stm, **_who(processor, session), "length": len(session.stm)})


@router.post(
    "/sessions/{session_id}/learn",
    response_model=answers.Learned,
    responses=documented("EMPTY_STM", "VectorDimensionError", 404, 422, "IDEMPOTENCY_KEY_REUSED"),
    openapi_extra=KEYED,
)
async def learn(session_id: SessionId, request: Request) -> Json:
    """Learn the short-term memory as a pattern; the pattern is durable when this answers."""
    processor = serving(request)
    done = await learning.learn(processor, session_id, await retrying(request, "learn"))
    learned = done.result
    messages = {
        "learned": "Learned the short-term memory and cleared it",
        "insufficient_data": "Nothing learned: a pattern needs at least two symbols; the short-term memory is cleared",
    }
    return Json(
        {
            "status": learned.status,
            "pattern_name": shown.pattern_name(learned.pattern),
            **_who(processor, done.session),
            "message": messages[learned.status],
        }
    )


@router.post("/sessions/{session_id}/clear-stm", response_model=answers.Cleared, responses=documented(404))
async def clear_stm(session_id: SessionId, request: Request) -> Json:
    """Empty the short-term memory."""
    processor = serving(request)
    session = await learning.clear_stm(processor, session_id)
    return Json({"status": "cleared", **_who(processor, session), "scope": "stm"})


@router.post("/sessions/{session_id}/clear-all", response_model=answers.Cleared, responses=documented(404))
async def clear_all(session_id: SessionId, request: Request) -> Json:
    """Empty the short-term memory and forget everything that the session's node has learned, for all its sessions."""
    processor = serving(request)
    session = await learning.clear_all(processor, session_id)
    return Json({"status": "cleared", **_who(processor, session), "scope": "node"})


@router.post("/sessions/{session_id}/finalize-training", response_model=answers.Trained, responses=documented(404))
async def finalize_training(session_id: SessionId, request: Request) -> Json:
    """Answer when everything learned so far is durable, indexed and folded; no score changes by it."""
    processor = serving(request)
    trained = await learning.finalize_training(processor, session_id)
    about(session_id, trained.node)
    return Json(
        {
            "status": "okay",
            "session_id": session_id,
            "node_id": trained.node,
            "patterns_processed": trained.patterns,
            "time_ms": round(trained.milliseconds, 3),
        }
    )


@router.get("/sessions/{session_id}/predictions", response_model=answers.Predictions, responses=documented(400, 404))
async def predictions(
    session_id: SessionId,
    request: Request,
    max_predictions: MaxPredictions = None,
    recall_threshold: RecallThreshold = None,
    rank_sort_algo: RankSortAlgo = None,
) -> Json:
    """Predict from the session's short-term memory."""
    processor = serving(request)
    asked = wire.Predicting(
        max_predictions=max_predictions, recall_threshold=recall_threshold, rank_sort_algo=rank_sort_algo
    )
    return _predicted(processor, await predicting.predict(processor, session_id, asked.overrides()))


@router.post("/sessions/{session_id}/predictions", response_model=answers.Predictions, responses=documented(400, 404))
async def predictions_of(session_id: SessionId, request: Request, body: wire.Predicting | None = None) -> Json:
    """Predict from a short-term memory given here, as if the session had observed it; the session stays as it is."""
    processor = serving(request)
    asked = body or wire.Predicting()
    given = None if asked.stm is None else limits.events("stm", asked.stm)
    return _predicted(processor, await predicting.predict(processor, session_id, asked.overrides(), given))


@router.get("/sessions/{session_id}/percept-data", response_model=answers.PerceptData, responses=documented(404))
async def percept_data(session_id: SessionId, request: Request) -> Json:
    """Show what the last accepted observation held."""
    processor = serving(request)
    session = await processor.sessions.open(session_id)
    return Json({"percept_data": shown.percept(session), **_who(processor, session)})


@router.get("/sessions/{session_id}/cognition-data", response_model=answers.CognitionData, responses=documented(404))
async def cognition_data(session_id: SessionId, request: Request) -> Json:
    """Show what the session has in mind: its short-term memory, what it has accumulated, and what it expects."""
    processor = serving(request)
    predicted = await predicting.predict(processor, session_id, {})
    session = predicted.session
    data = {
        "short_term_memory": session.stm,
        "emotives": session.observed_emotives,
        "metadata": session.observed_metadata,
        "symbols": sorted({symbol for event in session.stm for symbol in event}),
        "predictions": orjson.loads(predicted.body)["predictions"],
    }
    return Json({"cognition_data": data, **_who(processor, session)})


def _who(processor: Processor, session: Session) -> dict[str, Any]:
    """Return whose answer it is, and note it for the log."""
    about(session.id, session.node)
    return {
        "session_id": session.id,
        "node_id": session.node,
        "user_id": session.node,
        "processor_id": processor.id,
    }


def _predicted(processor: Processor, predicted: predicting.Predicted) -> Json:
    session = predicted.session
    who = _who(processor, session)
    return Json(spliced(predicted.body, **who, count=predicted.count, time=session.time))
