"""The Python client of the KATO service; needs httpx alone, no server packages.

from kato_client import KatoClient

with KatoClient("http://127.0.0.1:8000") as kato:
    session = kato.create_session("me")["session_id"]
    kato.observe_sequence([["a"], ["b"], ["c"]], session_id=session, learn_at_end=True)
    print(kato.predictions(session, stm=[["a"], ["b"]])["predictions"])

`AsyncKatoClient` has the same methods for asyncio. docs/first-session.md is a longer walk.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kato_client.errors import ApiError, DamagedExport, KatoClientError, Unreachable

if TYPE_CHECKING:
    from kato_client.aio import AsyncKatoClient
    from kato_client.client import KatoClient

__all__ = ["ApiError", "AsyncKatoClient", "DamagedExport", "KatoClient", "KatoClientError", "Unreachable"]
_CLIENTS = {"AsyncKatoClient": "kato_client.aio", "KatoClient": "kato_client.client"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module may hold
    """Import a client when it is asked for (PEP 562): whoever catches errors alone need not wait for httpx."""
    if name not in _CLIENTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_CLIENTS[name]), name)
