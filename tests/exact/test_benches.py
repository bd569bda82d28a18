"""The suites that measure the fast matcher run, on little: a bench that nobody has run for a month still works."""

from __future__ import annotations

from pathlib import Path

import pytest

from kato_service.engine.rust import RustMatcher
from tests.bench import engine, engine_load, http_predict
from tests.bench.engine_data import knowledge
from tests.bench.plot import plot

RECORDS = list(knowledge(1_000))
PEERS = {"extract", "cdist", "difflib", "floor", "brute"}
pytestmark = pytest.mark.timeout(900)  # a loaded machine takes its time to measure


def test_the_suite_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "STATES", 10)
    matcher = RustMatcher()
    matcher.load(RECORDS, {})

    latencies = list(engine.latency_rows(matcher, RECORDS))
    loads = list(engine_load.load_rows(RECORDS))

    assert {row.peer for row in latencies} - {None} == PEERS
    assert all(row.value > 0 for row in (*latencies, *loads, engine.learn_row(matcher, len(RECORDS))))
    assert all(peer in plot(latencies, "title") for peer in PEERS)


def test_the_suite_http_predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_predict, "STATES", 10)
    monkeypatch.setattr(http_predict, "THROUGHPUT", 16)
    with http_predict.knowing(tmp_path, RECORDS) as client:
        rows = [
            *http_predict.prediction_rows(client, RECORDS, 0.1),
            *http_predict.slow_query_rows(client, RECORDS),
        ]
    assert all(row.value > 0 for row in rows)
    assert [row.unit for row in rows] == ["ms", "ms", "1/s", "1/s", "ms", "ms", "ms"]
