"""The Python client of the KATO service; needs httpx alone, no server packages.

from kato_client import KatoClient

with KatoClient("http://127.0.0.1:8000") as kato:
    session = kato.create_session("me")["session_id"]
    kato.observe_sequence([["a"], ["b"], ["c"]], session_id=session, learn_at_end=True)
    print(kato.predictions(session, stm=[["a"], ["b"]])["predictions"])

`AsyncKatoClient` has the same methods for asyncio. docs/first-session.md is a longer walk.
"""

from kato_client.aio import AsyncKatoClient
from kato_client.client import KatoClient
from kato_client.errors import ApiError, DamagedExport, KatoClientError, Unreachable

__all__ = ["ApiError", "AsyncKatoClient", "DamagedExport", "KatoClient", "KatoClientError", "Unreachable"]
