"""Logging as the service does it: structlog's own default draws tracebacks for people, which takes seconds."""

from __future__ import annotations

import pytest

from kato_service import logs


@pytest.fixture(autouse=True, scope="session")
def _json_logs() -> None:
    logs.configure("error", "json")
