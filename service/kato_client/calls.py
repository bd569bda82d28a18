"""What is asked, before anyone sends it: a call's method, path, body and whether it may be repeated.

Shared by the synchronous and the asynchronous client, which only send (spec: service.md, "Endpoints").
"""

from __future__ import annotations

import hashlib
import json
import ssl
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from kato_client.errors import ApiError, DamagedExport

Event = Iterable[str] | Mapping[str, Any]
Events = Iterable[Event]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
BUSY = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE})
LONGEST_WAIT = 10.0
FIRST_WAIT = 0.1
END_BYTES = 64 * 1024  # the last line of an export is shorter


def tls(url: httpx.URL) -> ssl.SSLContext | bool:
    """Return how TLS is done: by the machine's certificates, which cost 30 ms to read, or not at all on loopback."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.scheme == "http" and url.host in LOOPBACK else True


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API. A `repeatable` one does the same when it is sent twice."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False


def get(path: str, **query: object) -> Call:
    """Return a call that reads; what of the query is None is left out."""
    return Call("GET", path, query=texts(query), repeatable=True)


def post(path: str, body: Mapping[str, Any] | None = None, **query: object) -> Call:
    """Return a call that changes something each time it arrives."""
    return Call("POST", path, body or {}, query=texts(query))


def once(path: str, body: Mapping[str, Any] | None = None) -> Call:
    """Return a call that counts once, however often it arrives: it has an idempotency key."""
    return Call("POST", path, body or {}, headers=key(None), repeatable=True)


def key(given: str | None) -> dict[str, str]:
    """Return the header of an idempotency key, a new one where none is given."""
    return {"Idempotency-Key": given or str(uuid.uuid4())}


def on(session_id: str | None, call: str = "") -> str:
    """Return the path of a call on a session, or on the default session, whose calls stand at the root."""
    return f"/{call}" if session_id is None else f"/sessions/{segment(session_id)}/{call}".rstrip("/")


def segment(text: str) -> str:
    """Return `text` as one segment of a path."""
    return quote(text, safe="")


def present(**values: object) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def texts(values: Mapping[str, object]) -> dict[str, str]:
    """Return the values that are not None, as a query writes them."""
    written = {True: "true", False: "false"}
    return {
        name: written[value] if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }


def observation(
    strings: Sequence[str],
    vectors: Sequence[Sequence[float]],
    emotives: Mapping[str, float] | None,
    metadata: Mapping[str, Any] | None,
    unique_id: str | None,
) -> dict[str, Any]:
    """Return the body of an observation."""
    return {
        "strings": list(strings),
        "vectors": [list(vector) for vector in vectors],
        "emotives": dict(emotives or {}),
        "metadata": dict(metadata or {}),
        **present(unique_id=unique_id),
    }


def observations(events: Events) -> list[dict[str, Any]]:
    """Return events as observations: each is its symbols, or an object with `strings`, `emotives` and so on."""
    return [dict(event) if isinstance(event, Mapping) else {"strings": list(event)} for event in events]


def may_repeat(call: Call, error: httpx.TransportError) -> bool:
    """Say whether a call that got no answer may be sent again: it does no harm, or it never arrived."""
    return call.repeatable or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)


def wait(response: httpx.Response | None, attempt: int) -> float:
    """Return the seconds that the service asks to wait; without a number of it, longer after each attempt."""
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    return min(float(asked) if asked.isdecimal() else FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT)


def refusal(response: httpx.Response) -> ApiError:
    """Return the error that the service's answer describes, whatever answered."""
    try:
        content = response.json()
    except ValueError:
        content = {}
    content = content if isinstance(content, dict) else {}
    other = content.get("message", response.text[:500])  # as an API server in between has it
    detail, error = content.get("detail", other), content.get("error")
    code = error.get("code", "") if isinstance(error, dict) else ""
    message = error.get("message", "") if isinstance(error, dict) else ""
    return ApiError(response.status_code, code or f"HTTP_{response.status_code}", message or str(detail), detail)


class Digest:
    """Checks an export that passes by: the last line holds the SHA-256 of all before it."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        text = self._rest + chunk
        # What may be the last line waits until more has come.
        place = text.rfind(b"\n", 0, max(len(text) - 1, 0)) + 1
        self._sha256.update(text[:place])
        self._rest = text[place:]

    def finish(self) -> None:
        """Say that the export is whole.

        Raises:
            DamagedExport: it is not.
        """
        try:
            found = json.loads(self._rest[:END_BYTES])["end"]["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedExport("the export has no end: it was cut off") from error
        if found != self._sha256.hexdigest():
            raise DamagedExport("the export's digest does not fit: it is damaged")
