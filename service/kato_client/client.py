"""The synchronous client: one method per call of the service's API.

Used by the `kato` command line and by programs (spec: service.md, "Endpoints").
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote

import httpx

from kato_client import answers
from kato_client.errors import ApiError, Unreachable

Events = Iterable[Iterable[str]]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_RETRIED = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE})
_ATTEMPTS = 4
_LONGEST_WAIT = 10.0


class KatoClient:
    """Speaks to one processor at `base_url`; `token` is a bearer token, `timeout` in seconds for one attempt.

    Use it as a context manager or call `close`. Busy answers (429, 503) are tried again after the time they name; a
    call that learns or observes carries an idempotency key, so that a repetition counts once. Every method raises
    `ApiError` when the service refuses and `Unreachable` when there is no answer. Where a `session_id` is left out,
    the processor's default session is meant.
    """

    def __init__(self, base_url: str, *, token: str | None = None, timeout: float = 60.0) -> None:
        url = httpx.URL(base_url)
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout,
            trust_env=url.host not in _LOOPBACK,  # a proxy cannot reach this machine's loopback
        )

    def __enter__(self) -> KatoClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def ping(self) -> answers.Ping:
        """Return who answers."""
        return cast("answers.Ping", self._call("GET", "/ping"))

    def status(self) -> dict[str, Any]:
        """Return the processor's own account: uptime, sessions, patterns, version."""
        return self._call("GET", "/status")

    def create_session(
        self,
        user_id: str,
        *,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> answers.Session:
        """Make a session of the node `user_id`: its sessions share one knowledge base and never an STM."""
        given = {"user_id": user_id, "ttl_seconds": ttl_seconds, "metadata": metadata, "config": config}
        body = {key: value for key, value in given.items() if value is not None}
        return cast("answers.Session", self._call("POST", "/sessions", body))

    def sessions(self, user_id: str | None = None) -> Iterator[answers.Session]:
        """Yield the sessions, newest first, page by page; of one user if `user_id` is given."""
        query: dict[str, str] = {} if user_id is None else {"user_id": user_id}
        while True:
            page = self._call("GET", "/sessions", query=query)
            yield from page["sessions"]
            if not page["next_cursor"]:
                return
            query["cursor"] = page["next_cursor"]

    def session(self, session_id: str) -> answers.Session:
        """Return one session."""
        return cast("answers.Session", self._call("GET", _path(session_id, "")))

    def delete_session(self, session_id: str) -> None:
        """End a session; what it learned stays."""
        self._call("DELETE", _path(session_id, ""))

    def observe(
        self,
        strings: Sequence[str] = (),
        *,
        session_id: str | None = None,
        vectors: Sequence[Sequence[float]] = (),
        emotives: Mapping[str, float] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> answers.Observed:
        """Append one event, its symbols in `strings`, to the STM."""
        body = {
            "strings": list(strings),
            "vectors": [list(vector) for vector in vectors],
            "emotives": dict(emotives or {}),
            "metadata": dict(metadata or {}),
        }
        return cast("answers.Observed", self._call("POST", _path(session_id, "observe"), body, once=True))

    def observe_sequence(
        self,
        events: Events,
        *,
        session_id: str,
        learn_after_each: bool = False,
        learn_at_end: bool = False,
        clear_stm_between: bool = False,
    ) -> answers.Sequence:
        """Append several events in one call, and learn them if asked to."""
        body = {
            "observations": [{"strings": list(event)} for event in events],
            "learn_after_each": learn_after_each,
            "learn_at_end": learn_at_end,
            "clear_stm_between": clear_stm_between,
        }
        return cast("answers.Sequence", self._call("POST", _path(session_id, "observe-sequence"), body, once=True))

    def stm(self, session_id: str | None = None) -> answers.Stm:
        """Return the short-term memory."""
        return cast("answers.Stm", self._call("GET", _path(session_id, "stm")))

    def clear_stm(self, session_id: str | None = None) -> None:
        """Forget the short-term memory; what was learned stays."""
        self._call("POST", _path(session_id, "clear-stm"), {})

    def learn(self, session_id: str | None = None) -> answers.Learned:
        """Learn the STM as a pattern; it is durable when this returns."""
        return cast("answers.Learned", self._call("POST", _path(session_id, "learn"), {}, once=True))

    def predictions(
        self,
        session_id: str | None = None,
        *,
        stm: Events | None = None,
        max_predictions: int | None = None,
        recall_threshold: float | None = None,
        rank_sort_algo: str | None = None,
    ) -> answers.Predictions:
        """Return what is expected next. With `stm` it is asked about that, and the session is left as it is."""
        given = {
            "max_predictions": max_predictions,
            "recall_threshold": recall_threshold,
            "rank_sort_algo": rank_sort_algo,
        }
        overrides = {key: value for key, value in given.items() if value is not None}
        path = _path(session_id, "predictions")
        if stm is None:
            query = {key: str(value) for key, value in overrides.items()}
            return cast("answers.Predictions", self._call("GET", path, query=query))
        body = {**overrides, "stm": [list(event) for event in stm]}
        return cast("answers.Predictions", self._call("POST", path, body))

    def pattern(self, name: str, *, node_id: str) -> answers.Pattern:
        """Return one pattern of a node's knowledge base by its name, with or without `PTRN|`."""
        found = self._call("GET", f"/pattern/{quote(name, safe='')}", query={"node_id": node_id})
        return cast("answers.Pattern", found["pattern"]["pattern"])

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> dict[str, Any]:
        """Ask until the answer is not "busy", at most `_ATTEMPTS` times. `once`: repetitions count once."""
        headers = {"Idempotency-Key": str(uuid.uuid4())} if once else {}
        request = self._http.build_request(method, path, json=body, params=query or None, headers=headers)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                raise Unreachable(f"no answer from {self._http.base_url}: {error or type(error).__name__}") from error
            if response.status_code not in _RETRIED or attempt == _ATTEMPTS:
                break
            time.sleep(_wait(response, attempt))
        if response.is_error:
            raise _refusal(response)
        answer: dict[str, Any] = response.json()
        return answer


def _path(session_id: str | None, call: str) -> str:
    """Return the path of a call on a session, or on the default session, whose calls stand at the root."""
    return f"/{call}" if session_id is None else f"/sessions/{quote(session_id, safe='')}/{call}".rstrip("/")


def _wait(response: httpx.Response, attempt: int) -> float:
    """Return the seconds that the service asks to wait; without a number of it, longer after each attempt."""
    asked = response.headers.get("Retry-After", "")
    return min(float(asked) if asked.isdecimal() else 0.1 * 2**attempt, _LONGEST_WAIT)


def _refusal(response: httpx.Response) -> ApiError:
    """Return the error that the service's answer describes, whatever answered."""
    try:
        content = response.json()
    except ValueError:
        content = {}
    content = content if isinstance(content, dict) else {}
    detail, error = content.get("detail", response.text[:500]), content.get("error")
    code = error.get("code", "") if isinstance(error, dict) else ""
    message = error.get("message", "") if isinstance(error, dict) else ""
    return ApiError(response.status_code, code or f"HTTP_{response.status_code}", message or str(detail), detail)
