"""The suite `http` runs on every store, on little: a bench that nobody has run for a month still works."""

from __future__ import annotations

import pytest

from tests.bench import http, http_replicas, load

pytestmark = pytest.mark.timeout(900)  # a loaded machine takes its time to measure


def test_the_suite_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "WARM_UP", 0.02)
    for name, value in (("SECONDS", 0.2), ("SESSIONS", 2), ("VARIED", 200), ("SIZES", (200,))):
        monkeypatch.setattr(http, name, value)
    for name, count in (("IDLE", 300), ("FEW", 100), ("LEARNED", 5)):
        monkeypatch.setattr(http_replicas, name, count)
    rows = list(http.rows())
    assert all(row.value > 0 for row in rows)
    for store in (http.EMBEDDED, http.EXTERNAL):
        of_store = [row.row for row in rows if row.row.startswith(f"{store}: ")]
        assert len(of_store) == 6 + 4
        assert f"{store}: start-up with 200 patterns" in of_store
    assert [row.unit for row in rows if ": " not in row.row] == ["B", "ms", "ms", "ms"]
