"""Logging as the service does it: structlog's own default draws tracebacks for people, which takes seconds.

Hypothesis without its deadline: a busy machine fails no property.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from kato_service import logs

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def _json_logs() -> None:
    logs.configure("error", "json")
