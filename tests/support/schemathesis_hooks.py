"""What schemathesis has to be told of the API: JSON Lines are sent as they are. Loaded by tests/service."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis import SerializationContext


@schemathesis.serializer("application/x-ndjson")
def lines(_: SerializationContext, value: Any) -> dict[str, bytes]:  # noqa: ANN401 - whatever was made
    return {"data": value if isinstance(value, bytes) else str(value).encode(errors="replace")}
