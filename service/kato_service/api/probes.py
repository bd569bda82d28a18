"""Who answers here and how it is: ping, health, the probes, status. Mounted by `application`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request

from kato_service.api.errors import documented
from kato_service.api.json import Json
from kato_service.api.shown import moment
from kato_service.processor.processor import Processor

router = APIRouter(tags=["probes"])
VERSION = version("kato-operator")


def _serving(request: Request) -> Processor:
    processor: Processor = request.app.state.processor
    return processor


def _uptime(processor: Processor) -> float:
    return round(processor.clock.now() - processor.started_at, 3)


@router.get("/ping", responses=documented())
async def ping(request: Request) -> Json:
    """Say who serves here."""
    processor = _serving(request)
    return Json({"status": "okay", "id": processor.id, "name": processor.name})


@router.get("/", responses=documented())
async def root(request: Request) -> Json:
    """Say what this is and where to read on."""
    processor = _serving(request)
    return Json(
        {
            "service": "kato",
            "version": VERSION,
            "description": f"{processor.name}: it observes sequences, learns them as patterns and predicts.",
            "docs": "/docs",
            "health": "/health",
            "status": "running",
            "uptime_seconds": _uptime(processor),
            "session_support": True,
            "id": processor.id,
            "name": processor.name,
        }
    )


@router.get("/health", responses=documented())
async def health(request: Request) -> Json:
    """Say how the processor is; 200 also when it is degraded."""
    processor = _serving(request)
    issues = await processor.issues()
    return Json(
        {
            "status": "degraded" if issues else "healthy",
            "processor_status": "loading" if not processor.loaded else "stopping" if processor.draining else "ready",
            "service_name": f"kato-{processor.id}",
            "uptime_seconds": _uptime(processor),
            "issues": issues,
            "metrics_collected": 0,
            "last_collection": None,
            "active_sessions": 0 if issues else await processor.sessions.count(),
            "timestamp": moment(processor.clock.now()),
        }
    )


@router.get("/livez", responses=documented())
async def livez() -> Json:
    """For probes: the event loop answers."""
    return Json({"status": "alive"})


@router.get("/readyz", responses=documented())
async def readyz(request: Request) -> Json:
    """For probes: the memory is loaded and the stores can be reached; else 503."""
    processor = _serving(request)
    issues = await processor.issues()
    return Json({"status": "not ready" if issues else "ready", "issues": issues}, 503 if issues else 200)


@router.get("/startupz", responses=documented())
async def startupz(request: Request) -> Json:
    """For probes: the memory is loaded; else 503 with how far it is."""
    processor = _serving(request)
    body = {
        "status": "started" if processor.loaded else "loading",
        "patterns_loaded": processor.library.loaded_patterns,
    }
    return Json(body, 200 if processor.loaded else 503)


@router.get("/status", responses=documented())
async def status(request: Request) -> Json:
    """Say what the processor holds."""
    processor = _serving(request)
    processor.check_loaded()
    record = processor.parameters.record
    held: dict[str, Any] = {
        "name": processor.name,
        "patterns": processor.library.patterns(),
        "nodes": len(processor.library.bases()),
        "matcher": processor.matcher_kind,
        "memory_bytes": await processor.library.memory(),
        "parameters_generation": record.generation if record else None,
    }
    sessions = processor.sessions
    counts = {"active": await sessions.count(), "created": sessions.created, "deleted": sessions.deleted}
    return Json(
        {
            "status": "okay",
            "base_processor_id": processor.id,
            "uptime_seconds": _uptime(processor),
            "sessions": counts,
            "processors": {processor.id: held},
            "version": VERSION,
        }
    )
