"""What the API answers about the processor and its process: models for the document, with examples.

Named by the routes, shown in `/docs`; the tests hold the answers to these models.
"""

from __future__ import annotations

from typing import Literal

from kato_service.api.answer import Answer, example
from kato_service.api.answers import MOMENT

POINT = {"timestamp": MOMENT, "value": 12.5}
SUMMARY = {"count": 1, "min": 12.5, "max": 12.5, "avg": 12.5}


class Ping(Answer):
    """Who serves here."""

    model_config = example(status="okay", id="kato", name="KatoProcessor")

    status: Literal["okay"]
    id: str
    name: str


class Root(Answer):
    """What this is and where to read on."""

    model_config = example(
        service="kato",
        version="0.1.0",
        description="KatoProcessor: it observes sequences, learns them as patterns and predicts.",
        docs="/docs",
        health="/health",
        status="running",
        uptime_seconds=12.5,
        session_support=True,
        id="kato",
        name="KatoProcessor",
    )

    service: str
    version: str
    description: str
    docs: str
    health: str
    status: str
    uptime_seconds: float
    session_support: bool
    id: str
    name: str


class Health(Answer):
    """How the processor is; `metrics_collected` counts the samples taken, the last at `last_collection`."""

    model_config = example(
        status="healthy",
        processor_status="ready",
        service_name="kato-kato",
        uptime_seconds=12.5,
        issues=[],
        metrics_collected=2,
        last_collection=MOMENT,
        active_sessions=1,
        timestamp=MOMENT,
    )

    status: Literal["healthy", "degraded"]
    processor_status: Literal["loading", "ready", "stopping"]
    service_name: str
    uptime_seconds: float
    issues: list[str]
    metrics_collected: int
    last_collection: str | None
    active_sessions: int
    timestamp: str


class Alive(Answer):
    """The event loop answers."""

    model_config = example(status="alive")

    status: Literal["alive"]


class Ready(Answer):
    """The memory is loaded and the stores answer."""

    model_config = example(status="ready", issues=[])

    status: Literal["ready"]
    issues: list[str]


class Started(Answer):
    """The memory is loaded."""

    model_config = example(status="started", patterns_loaded=2000)

    status: Literal["started"]
    patterns_loaded: int


class SessionTotals(Answer):
    """Sessions alive, and those made and gone since the process started."""

    active: int
    created: int
    deleted: int


class Held(Answer):
    """What a processor holds. `matcher`: "rust" or "oracle"; `memory_bytes`: what its index takes."""

    name: str
    patterns: int
    nodes: int
    matcher: str
    memory_bytes: int
    parameters_generation: int | None


HELD = {
    "name": "KatoProcessor",
    "patterns": 2000,
    "nodes": 1,
    "matcher": "rust",
    "memory_bytes": 500_000,
    "parameters_generation": None,
}


class Status(Answer):
    """What the processor holds, by its id."""

    model_config = example(
        status="okay",
        base_processor_id="kato",
        uptime_seconds=12.5,
        sessions={"active": 1, "created": 1, "deleted": 0},
        processors={"kato": HELD},
        version="0.1.0",
    )

    status: Literal["okay"]
    base_processor_id: str
    uptime_seconds: float
    sessions: SessionTotals
    processors: dict[str, Held]
    version: str


class Rates(Answer):
    """What happens per second, over the last minute."""

    requests_per_second: float
    errors_per_second: float


class SessionFigures(Answer):
    """Sessions since the process started; `operations_total` counts the calls on one."""

    total_created: int
    total_deleted: int
    active: int
    operations_total: int


class Performance(Answer):
    """Requests since the start; errors are answers of 500 and above, times are in seconds."""

    total_requests: int
    total_errors: int
    error_rate: float
    average_response_time: float


class Resources(Answer):
    """What the process uses, and how full the disk of its databases is."""

    cpu_percent: float
    memory_percent: float
    disk_percent: float


class Database(Answer):
    """A store: its kind, whether it answers, its connections."""

    kind: str
    status: Literal["up", "down"]
    connections: int
    in_use: int
    waiting: int
    limit: int | None


DATABASE = {"kind": "sqlite", "status": "up", "connections": 1, "in_use": 0, "waiting": 0, "limit": 1}


class Processors(Answer):
    """The processors of this process: one."""

    total_processors: int
    processors: dict[str, Held]


class Metrics(Answer):
    """The metrics as KATO 3.x shows them."""

    model_config = example(
        timestamp=MOMENT,
        rates={"requests_per_second": 4.0, "errors_per_second": 0.0},
        databases={"memory": DATABASE, "sessions": DATABASE},
        sessions={"total_created": 1, "total_deleted": 0, "active": 1, "operations_total": 12},
        performance={"total_requests": 20, "total_errors": 0, "error_rate": 0.0, "average_response_time": 0.002},
        resources={"cpu_percent": 12.5, "memory_percent": 0.6, "disk_percent": 40.0},
        processor_manager={"total_processors": 1, "processors": {"kato": HELD}},
        uptime_seconds=12.5,
    )

    timestamp: str
    rates: Rates
    databases: dict[str, Database]
    sessions: SessionFigures
    performance: Performance
    resources: Resources
    processor_manager: Processors
    uptime_seconds: float


class Point(Answer):
    """A sample."""

    timestamp: str
    value: float


class Summary(Answer):
    """What the samples of a time are like."""

    count: int
    min: float
    max: float
    avg: float


class Metric(Answer):
    """The samples of one metric."""

    model_config = example(
        metric_name="kato_cpu_usage_percent",
        time_range_minutes=10,
        timestamp=MOMENT,
        statistics=SUMMARY,
        data_points=[POINT],
    )

    metric_name: str
    time_range_minutes: int
    timestamp: str
    statistics: Summary
    data_points: list[Point]


class Stats(Answer):
    """The samples of every metric."""

    model_config = example(
        timestamp=MOMENT,
        time_range_minutes=10,
        uptime_seconds=12.5,
        time_series={"kato_cpu_usage_percent": [POINT]},
        summary={"kato_cpu_usage_percent": SUMMARY},
    )

    timestamp: str
    time_range_minutes: int
    uptime_seconds: float
    time_series: dict[str, list[Point]]
    summary: dict[str, Summary]


class Pools(Answer):
    """The connections to the stores, by what they keep."""

    model_config = example(status="healthy", timestamp=MOMENT, pools={"memory": DATABASE, "sessions": DATABASE})

    status: Literal["healthy", "degraded"]
    timestamp: str
    pools: dict[str, Database]


class RequestFigures(Answer):
    """Requests at this moment, the most there ever were at once, the limit (0: none), and those beyond it."""

    in_progress: int
    peak: int
    limit: int
    refused: int


class Concurrency(Answer):
    """What happens at once."""

    model_config = example(
        timestamp=MOMENT,
        requests={"in_progress": 1, "peak": 8, "limit": 1000, "refused": 0},
        event_listeners=1,
        matcher_threads=2,
    )

    timestamp: str
    requests: RequestFigures
    event_listeners: int
    matcher_threads: int


class Cache(Answer):
    """A cache: what it holds, what it may hold, how often it had what was asked."""

    entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    hit_rate: float


class Caches(Answer):
    """The caches of this process by what they keep."""

    model_config = example(
        timestamp=MOMENT,
        caches={
            "predictions": {"entries": 1, "bytes": 900, "max_bytes": 67108864, "hits": 3, "misses": 1, "hit_rate": 0.75}
        },
    )

    timestamp: str
    caches: dict[str, Cache]
