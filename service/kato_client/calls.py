"""What is asked, before anyone sends it: a call's method, path, body and whether it may be repeated.

Shared by the synchronous and the asynchronous client, which only send (spec: service.md, "Endpoints").
"""

from __future__ import annotations

import hashlib
import json
import ssl
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx

from kato_client.errors import ApiError, DamagedExport

Event = Iterable[str] | Mapping[str, Any]
Events = Iterable[Event]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0  # seconds, where the service names none
UNTOUCHED = frozenset({"LOADING", "OVERLOADED"})  # codes of a 503 that comes before anything is done
GONE = "SESSION_NOT_FOUND"
END_BYTES = 64 * 1024  # the last line of an export is shorter


def tls(url: httpx.URL) -> ssl.SSLContext | bool:
    """Return how TLS is done: by the machine's certificates, which cost 30 ms to read, or not at all on loopback."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.scheme == "http" and url.host in LOOPBACK else True


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API. A `repeatable` one does the same when it is sent twice.

    `removes`: that it finds nothing, sent again, tells that it has done its work before.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    removes: bool = False


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


class Patience:
    """When a call is sent again: `attempts` in all at most, and `seconds` of waiting in all at most."""

    def __init__(self, call: Call, attempts: int, seconds: float) -> None:
        self._call, self._attempts, self._seconds = call, attempts, seconds
        self._sent = 1

    def unanswered(self, error: httpx.TransportError) -> float | None:
        """Return the seconds to wait before the call is sent again; None: it is not to be.

        Without an answer it may be where it does no harm, or never arrived.
        """
        never_arrived = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        return self._wait(None) if self._call.repeatable or never_arrived else None

    def answered(self, response: httpx.Response) -> float | None:
        """Return the seconds to wait before the call is sent again; None: the answer stands."""
        return self._wait(retry_after(response)) if self._busy(response) else None

    def answer(self, response: httpx.Response) -> dict[str, Any]:
        """Return what the answer that stands holds.

        Raises:
            ApiError: it is a refusal.
        """
        if not response.is_error:
            content: dict[str, Any] = response.json()
            return content
        error = refusal(response)
        if self._call.removes and self._sent > 1 and error.code == GONE:
            return {}
        raise error

    def _busy(self, response: httpx.Response) -> bool:
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return self._call.repeatable or refusal(response).code in UNTOUCHED
        return response.status_code == httpx.codes.TOO_MANY_REQUESTS

    def _wait(self, asked: float | None) -> float | None:
        seconds = min(FIRST_WAIT * 2 ** (self._sent - 1), LONGEST_WAIT) if asked is None else asked
        if self._sent >= self._attempts or seconds > self._seconds:
            return None
        self._sent += 1
        self._seconds -= seconds
        return seconds


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that an answer asks to wait, by a number or a date; None where it names neither."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return None


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
