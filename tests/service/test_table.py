"""The table of endpoints of service.md, written out as data, and the OpenAPI document say the same."""

from __future__ import annotations

from typing import Any

import httpx

SESSION = "session_id node_id user_id created_at expires_at ttl_seconds metadata session_config"
OBSERVED = "status session_id processor_id stm_length time unique_id auto_learned_pattern at_rest"
LEARNED = "status pattern_name session_id processor_id message"
STM = "stm session_id length"
PREDICTIONS = "predictions future_potentials session_id processor_id count time"
PERCEPT = (
    "percept_data.strings? percept_data.vectors? percept_data.emotives? percept_data.metadata? percept_data.unique_id? "
    "percept_data.time? session_id node_id"
)
COGNITION = (
    "cognition_data.short_term_memory cognition_data.emotives cognition_data.metadata cognition_data.symbols "
    "cognition_data.predictions session_id node_id"
)
# By call: the fields of its answer, a dot before those of an inner object or of a list's items; `?`: not always there,
# as what was perceived before anything was. Left out: /ws/events, which is no part of an OpenAPI document.
TABLE = {
    ("GET", "/ping"): "status id name",
    ("GET", "/"): "service version description docs health status uptime_seconds session_support",
    ("GET", "/health"): (
        "status processor_status service_name uptime_seconds issues metrics_collected last_collection active_sessions "
        "timestamp"
    ),
    ("GET", "/livez"): "status",
    ("GET", "/readyz"): "status",
    ("GET", "/startupz"): "status",
    ("GET", "/status"): "status base_processor_id uptime_seconds sessions processors version",
    ("POST", "/sessions"): SESSION,
    ("GET", "/sessions"): "sessions.session_id total next_cursor",
    ("GET", "/sessions/count"): "active_session_count",
    ("GET", "/sessions/{session_id}"): SESSION,
    ("DELETE", "/sessions/{session_id}"): "status session_id",
    ("GET", "/sessions/{session_id}/exists"): "exists expired session_id",
    ("GET", "/sessions/{session_id}/config"): "config",
    ("PUT", "/sessions/{session_id}/config"): "config ignored",
    ("POST", "/sessions/{session_id}/config"): "config ignored",
    ("POST", "/sessions/{session_id}/extend"): "status session_id ttl_seconds",
    ("POST", "/sessions/{session_id}/observe"): OBSERVED,
    ("POST", "/sessions/{session_id}/observe-sequence"): (
        "status processor_id observations_processed initial_stm_length final_stm_length results.status "
        "results.sequence_position results.stm_length results.time results.unique_id auto_learned_patterns "
        "final_learned_pattern isolated"
    ),
    ("GET", "/sessions/{session_id}/stm"): STM,
    ("POST", "/sessions/{session_id}/learn"): LEARNED,
    ("POST", "/sessions/{session_id}/clear-stm"): "status session_id",
    ("POST", "/sessions/{session_id}/clear-all"): "status session_id scope",
    ("POST", "/sessions/{session_id}/finalize-training"): "status session_id patterns_processed time_ms node_id",
    ("GET", "/sessions/{session_id}/predictions"): PREDICTIONS,
    ("POST", "/sessions/{session_id}/predictions"): PREDICTIONS,
    ("GET", "/sessions/{session_id}/percept-data"): PERCEPT,
    ("GET", "/sessions/{session_id}/cognition-data"): COGNITION,
    ("GET", "/pattern/{name}"): (
        "pattern.status pattern.pattern.name pattern.pattern.pattern_data pattern.pattern.length "
        "pattern.pattern.frequency pattern.pattern.emotives pattern.pattern.metadata node_id"
    ),
    ("GET", "/symbols/stats"): "symbols",
    ("GET", "/symbols/affinity"): "affinities",
    ("GET", "/symbols/{symbol}/affinity"): "affinity",
    ("GET", "/patterns"): "patterns.name next_cursor",
    ("GET", "/export"): "",
    ("POST", "/import"): "",
    ("GET", "/metrics"): (
        "timestamp rates databases sessions.total_created sessions.total_deleted sessions.active "
        "sessions.operations_total performance.total_requests performance.total_errors performance.error_rate "
        "performance.average_response_time resources.cpu_percent resources.memory_percent resources.disk_percent "
        "processor_manager.total_processors processor_manager.processors uptime_seconds"
    ),
    ("GET", "/prometheus"): "",
    ("GET", "/metrics/{name}"): (
        "metric_name time_range_minutes timestamp statistics.count statistics.min statistics.max statistics.avg "
        "data_points"
    ),
    ("GET", "/stats"): "time_series",
    ("GET", "/connection-pools"): "",
    ("GET", "/concurrency"): "",
    ("GET", "/cache/stats"): "",
    ("POST", "/observe"): OBSERVED,
    ("POST", "/learn"): LEARNED,
    ("POST", "/clear-stm"): "status session_id",
    ("POST", "/clear-all"): "status session_id scope",
    ("POST", "/clear-all-memory"): "status session_id scope",
    ("GET", "/stm"): STM,
    ("GET", "/predictions"): PREDICTIONS,
    ("GET", "/percept-data"): PERCEPT,
    ("GET", "/cognition-data"): COGNITION,
}


def test_the_document_has_the_calls_and_fields_of_the_table(api: httpx.Client) -> None:
    document: dict[str, Any] = api.get("/openapi.json").raise_for_status().json()
    operations = {
        (verb.upper(), path): operation
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    }
    assert operations.keys() == TABLE.keys()
    for call, fields in TABLE.items():
        content = operations[call]["responses"]["200"]["content"]
        for field in fields.split():
            schema = content["application/json"]["schema"]
            for name in field.removesuffix("?").split("."):
                holder = inner(document, schema)
                assert name in holder["properties"], (call, field)
                schema = holder["properties"][name]
            assert field.endswith("?") or name in holder["required"], (call, field)


def inner(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object, through references, and of a list its items'."""
    while "properties" not in schema:
        name = schema["$ref"].rpartition("/")[2] if "$ref" in schema else None
        schema = document["components"]["schemas"][name] if name else schema["items"]
    return schema
