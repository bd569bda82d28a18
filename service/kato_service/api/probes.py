"""Who answers here and how it is: ping, health, the probes, status. Mounted by `application`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Literal

from fastapi import APIRouter, Request

from kato_service.api import errors, reports
from kato_service.api.errors import documented
from kato_service.api.json import Json
from kato_service.api.monitor import Monitor
from kato_service.api.shown import moment
from kato_service.processor.processor import Processor

router = APIRouter(tags=["probes"])
VERSION = version("kato-operator")


def _serving(request: Request) -> Processor:
    processor: Processor = request.app.state.processor
    return processor


def uptime(processor: Processor) -> float:
    """Return the seconds since the processor was made."""
    return round(processor.clock.now() - processor.started_at, 3)


def overall(issues: Sequence[str]) -> Literal["healthy", "degraded"]:
    """Say in one word how a processor with these issues is."""
    return "degraded" if issues else "healthy"


async def held(processor: Processor) -> dict[str, Any]:
    """Return what a processor holds."""
    record = processor.parameters.record
    return {
        "name": processor.name,
        "patterns": processor.library.patterns(),
        "nodes": len(processor.library.bases()),
        "matcher": processor.matcher_kind,
        "memory_bytes": await processor.library.memory(),
        "parameters_generation": record.generation if record else None,
    }


@router.get("/ping", response_model=reports.Ping, responses=documented("OVERLOADED"))
async def ping(request: Request) -> Json:
    """Say who serves here."""
    processor = _serving(request)
    return Json({"status": "okay", "id": processor.id, "name": processor.name})


@router.get("/", response_model=reports.Root, responses=documented("OVERLOADED"))
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
            "uptime_seconds": uptime(processor),
            "session_support": True,
            "id": processor.id,
            "name": processor.name,
        }
    )


@router.get("/health", response_model=reports.Health, responses=documented("OVERLOADED"))
async def health(request: Request) -> Json:
    """Say how the processor is; 200 also when it is degraded."""
    processor = _serving(request)
    monitor: Monitor = request.app.state.monitor
    issues = await processor.issues()
    last = monitor.last
    return Json(
        {
            "status": overall(issues),
            "processor_status": "loading" if not processor.loaded else "stopping" if processor.draining else "ready",
            "service_name": f"kato-{processor.id}",
            "uptime_seconds": uptime(processor),
            "issues": issues,
            "metrics_collected": monitor.collected,
            "last_collection": moment(last.at) if last else None,
            "active_sessions": await monitor.active_sessions(),
            "timestamp": moment(processor.clock.now()),
        }
    )


@router.get("/livez", response_model=reports.Alive, responses=documented())
async def livez() -> Json:
    """For probes: the event loop answers."""
    return Json({"status": "alive"})


@router.get("/readyz", response_model=reports.Ready, responses=documented("NOT_READY"))
async def readyz(request: Request) -> Json:
    """For probes: the memory is loaded and the stores can be reached; else 503."""
    processor = _serving(request)
    issues = await processor.issues()
    if issues:
        return errors.unready("NOT_READY", "; ".join(issues), {"status": "not ready", "issues": issues})
    return Json({"status": "ready", "issues": []})


@router.get("/startupz", response_model=reports.Started, responses=documented("LOADING"))
async def startupz(request: Request) -> Json:
    """For probes: the memory is loaded; else 503 with how far it is."""
    processor = _serving(request)
    loaded = processor.library.loaded_patterns
    if not processor.loaded:
        more = {"status": "loading", "patterns_loaded": loaded}
        return errors.unready("LOADING", f"{loaded} patterns are loaded so far", more)
    return Json({"status": "started", "patterns_loaded": loaded})


@router.get("/status", response_model=reports.Status, responses=documented())
async def status(request: Request) -> Json:
    """Say what the processor holds."""
    processor = _serving(request)
    processor.check_loaded()
    sessions = processor.sessions
    counts = {"active": await sessions.count(), "created": sessions.created, "deleted": sessions.deleted}
    return Json(
        {
            "status": "okay",
            "base_processor_id": processor.id,
            "uptime_seconds": uptime(processor),
            "sessions": counts,
            "processors": {processor.id: await held(processor)},
            "version": VERSION,
        }
    )
