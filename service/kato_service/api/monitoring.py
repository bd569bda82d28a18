"""How the process fares: Prometheus metrics, and KATO 3.x's monitoring answers. Mounted by `applications`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.exceptions import HTTPException

from kato_service.api import reports
from kato_service.api.errors import documented
from kato_service.api.json import Json
from kato_service.api.monitor import MOST_MINUTES, Monitor, summary
from kato_service.api.probes import held, uptime
from kato_service.api.shown import moment
from kato_service.processor.errors import StoreUnavailable
from kato_service.processor.processor import Processor

router = APIRouter(tags=["monitoring"])
Minutes = Annotated[int, Query(ge=1, le=MOST_MINUTES, description="How far back, in minutes.")]
MetricName = Annotated[str, Path(description="One of the time series of /stats.", examples=["kato_cpu_usage_percent"])]
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
EXPOSITION = "# HELP kato_patterns Patterns in memory.\n# TYPE kato_patterns gauge\nkato_patterns 2000.0\n"
TEXT: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}, "example": EXPOSITION}}
GAUGES = {
    "kato_cpu_usage_percent": "Processor time of the process, in percent of one core, over the last interval.",
    "kato_memory_usage_percent": "Resident memory in percent of the machine's.",
    "kato_resident_memory_bytes": "Resident memory of the process.",
    "kato_requests_in_progress": "Requests that are being answered.",
    "kato_sessions_active": "Sessions that are alive.",
    "kato_patterns": "Patterns in memory.",
    "kato_index_bytes": "Memory that the patterns' index takes.",
}


def _monitor(request: Request) -> Monitor:
    monitor: Monitor = request.app.state.monitor
    return monitor


def wants_text(accept: str) -> bool:
    """Say whether an Accept header names Prometheus' text formats, as Prometheus itself does."""
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return bool(kinds & {"text/plain", "application/openmetrics-text"})


@router.get(
    "/metrics",
    response_model=reports.Metrics,
    responses={
        **documented("OVERLOADED"),
        200: {"content": TEXT, "description": "By Accept: JSON, or Prometheus' text format."},
    },
)
async def metrics(request: Request) -> Response:
    """Show the metrics: as JSON, or for Prometheus when Accept names text/plain or OpenMetrics."""
    if wants_text(request.headers.get("accept", "")):
        return await prometheus(request)
    monitor = _monitor(request)
    processor, meter = monitor.processor, monitor.meter
    sample = await monitor.latest()
    return Json(
        {
            "timestamp": moment(processor.clock.now()),
            "rates": {
                "requests_per_second": monitor.rate("kato_requests_total"),
                "errors_per_second": monitor.rate("kato_errors_total"),
            },
            "databases": await _databases(processor),
            "sessions": {
                "total_created": processor.sessions.created,
                "total_deleted": processor.sessions.deleted,
                "active": await monitor.active_sessions(),
                "operations_total": processor.sessions.operations,
            },
            "performance": {
                "total_requests": meter.requests,
                "total_errors": meter.failures,
                "error_rate": meter.failures / meter.requests if meter.requests else 0.0,
                "average_response_time": meter.seconds / meter.requests if meter.requests else 0.0,
            },
            "resources": {
                "cpu_percent": sample.values["kato_cpu_usage_percent"],
                "memory_percent": sample.values["kato_memory_usage_percent"],
                "disk_percent": monitor.disk_percent(),
            },
            "processor_manager": {"total_processors": 1, "processors": {processor.id: await held(processor)}},
            "uptime_seconds": uptime(processor),
        }
    )


@router.get("/prometheus", responses={**documented("OVERLOADED"), 200: {"content": TEXT}}, response_class=Response)
async def prometheus(request: Request) -> Response:
    """Show the metrics in Prometheus' text format."""
    monitor = _monitor(request)
    processor = monitor.processor
    values = {**(await monitor.latest()).values, **await monitor.present()}
    gauges = {name: (text, values[name]) for name, text in GAUGES.items()}
    counted = {
        "kato_sessions_created": ("Sessions made.", processor.sessions.created),
        "kato_sessions_deleted": ("Sessions deleted or expired.", processor.sessions.deleted),
        "kato_session_operations": ("Calls on a session.", processor.sessions.operations),
        "kato_prediction_cache_hits": ("Predictions that were kept.", processor.kept.hits),
        "kato_prediction_cache_misses": ("Predictions that were computed.", processor.kept.misses),
    }
    return Response(monitor.meter.exposition(gauges, counted), media_type=PROMETHEUS)


@router.get("/metrics/{name}", response_model=reports.Metric, responses=documented("NOT_FOUND", "OVERLOADED"))
async def metric(name: MetricName, request: Request, minutes: Minutes = 10) -> Json:
    """Show the samples of one metric."""
    monitor = _monitor(request)
    points = monitor.series(minutes).get(name)
    if not points:
        raise HTTPException(404, f"No data available for metric {name!r} in the last {minutes} minutes")
    return Json(
        {
            "metric_name": name,
            "time_range_minutes": minutes,
            "timestamp": moment(monitor.processor.clock.now()),
            "statistics": summary(points),
            "data_points": points,
        }
    )


@router.get("/stats", response_model=reports.Stats, responses=documented("OVERLOADED"))
async def stats(request: Request, minutes: Minutes = 10) -> Json:
    """Show the samples of every metric."""
    monitor = _monitor(request)
    series = monitor.series(minutes)
    return Json(
        {
            "timestamp": moment(monitor.processor.clock.now()),
            "time_range_minutes": minutes,
            "uptime_seconds": uptime(monitor.processor),
            "time_series": series,
            "summary": {name: summary(points) for name, points in series.items()},
        }
    )


@router.get("/connection-pools", response_model=reports.Pools, responses=documented("OVERLOADED"))
async def connection_pools(request: Request) -> Json:
    """Show the connections to the stores."""
    processor = _monitor(request).processor
    pools = await _databases(processor)
    down = any(pool["status"] == "down" for pool in pools.values())
    now = moment(processor.clock.now())
    return Json({"status": "degraded" if down else "healthy", "timestamp": now, "pools": pools})


@router.get("/concurrency", response_model=reports.Concurrency, responses=documented("OVERLOADED"))
async def concurrency(request: Request) -> Json:
    """Show what happens at once."""
    monitor = _monitor(request)
    meter, processor = monitor.meter, monitor.processor
    return Json(
        {
            "timestamp": moment(processor.clock.now()),
            "requests": {
                "in_progress": meter.in_progress,
                "peak": meter.peak,
                "limit": request.app.state.max_requests,
                "refused": meter.refused,
            },
            "event_listeners": processor.events.listeners,
            "matcher_threads": processor.library.threads,
        }
    )


@router.get("/cache/stats", response_model=reports.Caches, responses=documented("OVERLOADED"))
async def cache_stats(request: Request) -> Json:
    """Show the caches of this process."""
    processor = _monitor(request).processor
    kept = processor.kept
    (used, most), asked = kept.size, kept.hits + kept.misses
    predictions = {
        "entries": len(kept),
        "bytes": used,
        "max_bytes": most,
        "hits": kept.hits,
        "misses": kept.misses,
        "hit_rate": kept.hits / asked if asked else 0.0,
    }
    return Json({"timestamp": moment(processor.clock.now()), "caches": {"predictions": predictions}})


async def _databases(processor: Processor) -> dict[str, dict[str, Any]]:
    """Return each store's kind and connections, and whether it answers."""
    found: dict[str, dict[str, Any]] = {}
    for name, store in processor.stores().items():
        try:
            await store.ping()
        except StoreUnavailable:
            status = "down"
        else:
            status = "up"
        usage = store.usage()
        found[name] = {
            "kind": usage.kind,
            "status": status,
            "connections": usage.connections,
            "in_use": usage.in_use,
            "waiting": usage.waiting,
            "limit": usage.limit,
        }
    return found
