"""The asynchronous client: one method per call of the service's API, on asyncio.

Used by programs (spec: service.md, "Endpoints"). `client` is the synchronous one, made from this file.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, cast

import httpx

from kato_client import answers, calls
from kato_client.calls import Call, Events, get, on, once, post, present
from kato_client.errors import Unreachable


class AsyncKatoClient:
    """Speaks to one processor at `base_url`; `token` is a bearer token, `timeout` in seconds for one attempt.

    Use it as a context manager or call `close`. Every method raises `ApiError` when the service refuses and
    `Unreachable` when there is no answer. Where a `session_id` is left out, the processor's default session is meant.
    `verify` says how TLS is done where the machine's own certificates will not do.

    A busy answer (429, 503) and none at all are not the end: the call is sent again after the time that the answer
    names, `attempts` times in all at most, as long as the waits of one call come to `patience` seconds at most (what
    would exceed them is not begun). What reads, sets or deletes may be sent twice, and so may what observes, learns or
    imports: it carries an idempotency key and counts once. `create_session`, `clear_stm` and `clear_all` are sent again
    only where nothing can have been done: the connection failed, the answer is 429, or a 503 from before the work
    (`LOADING`, `OVERLOADED`). `delete_session` that was sent again and finds no session has done its work. An export
    is never sent again. `sleep` is what waits.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        attempts: int = 4,
        patience: float = 30.0,
        verify: ssl.SSLContext | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        url = httpx.URL(base_url)
        self._attempts, self._patience, self._sleep = attempts, patience, sleep
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout,
            trust_env=url.host not in calls.LOOPBACK,  # a proxy cannot reach this machine's loopback
            verify=verify or calls.tls(url),
        )

    async def __aenter__(self) -> AsyncKatoClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def ping(self) -> answers.Ping:
        """Return who answers."""
        return cast("answers.Ping", await self._call(get("/ping")))

    async def health(self) -> answers.Health:
        """Return how the processor is, and what is wrong with it."""
        return cast("answers.Health", await self._call(get("/health")))

    async def status(self) -> dict[str, Any]:
        """Return the processor's own account: uptime, sessions, patterns, version."""
        return await self._call(get("/status"))

    async def metrics(self) -> dict[str, Any]:
        """Return the processor's metrics."""
        return await self._call(get("/metrics"))

    async def create_session(
        self,
        user_id: str,
        *,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> answers.Session:
        """Make a session of the node `user_id`: its sessions share one knowledge base and never an STM."""
        body = present(user_id=user_id, ttl_seconds=ttl_seconds, metadata=metadata, config=config)
        return cast("answers.Session", await self._call(post("/sessions", body)))

    async def sessions(self, user_id: str | None = None) -> AsyncIterator[answers.Session]:
        """Yield the sessions, newest first, page by page; of one user if `user_id` is given."""
        cursor: str | None = None
        while True:
            page = await self._call(get("/sessions", user_id=user_id, cursor=cursor))
            for session in page["sessions"]:
                yield session
            cursor = page["next_cursor"]
            if not cursor:
                return

    async def session_count(self) -> int:
        """Return how many sessions are alive."""
        return int((await self._call(get("/sessions/count")))["active_session_count"])

    async def session(self, session_id: str) -> answers.Session:
        """Return one session."""
        return cast("answers.Session", await self._call(get(on(session_id))))

    async def session_exists(self, session_id: str) -> bool:
        """Say whether a session is alive, without extending its life."""
        return bool((await self._call(get(on(session_id, "exists"))))["exists"])

    async def extend_session(self, session_id: str, ttl_seconds: int | None = None) -> answers.Extended:
        """Give a session a new time to live, counted from now; without one, its own again."""
        call = Call("POST", on(session_id, "extend"), present(ttl_seconds=ttl_seconds), repeatable=True)
        return cast("answers.Extended", await self._call(call))

    async def delete_session(self, session_id: str) -> None:
        """End a session; what it learned stays."""
        await self._call(Call("DELETE", on(session_id), repeatable=True, removes=True))

    async def config(self, session_id: str) -> dict[str, Any]:
        """Return a session's configuration with every key resolved."""
        return cast("dict[str, Any]", (await self._call(get(on(session_id, "config"))))["config"])

    async def update_config(self, session_id: str, **values: object) -> dict[str, Any]:
        """Set keys of a session's configuration, all or none; None resets one. Return it with every key resolved."""
        call = Call("PUT", on(session_id, "config"), {"config": values}, repeatable=True)
        return cast("dict[str, Any]", (await self._call(call))["config"])

    async def observe(
        self,
        strings: Sequence[str] = (),
        *,
        session_id: str | None = None,
        vectors: Sequence[Sequence[float]] = (),
        emotives: Mapping[str, float] | None = None,
        metadata: Mapping[str, Any] | None = None,
        unique_id: str | None = None,
    ) -> answers.Observed:
        """Append one event, its symbols in `strings`, to the STM."""
        body = calls.observation(strings, vectors, emotives, metadata, unique_id)
        return cast("answers.Observed", await self._call(once(on(session_id, "observe"), body)))

    async def observe_sequence(
        self,
        events: Events,
        *,
        session_id: str,
        learn_after_each: bool = False,
        learn_at_end: bool = False,
        clear_stm_between: bool = False,
    ) -> answers.Sequence:
        """Append several events in one call, and learn them if asked to.

        An event is its symbols, or an object with `strings`, `vectors`, `emotives`, `metadata` and `unique_id`.
        """
        body = {
            "observations": calls.observations(events),
            "learn_after_each": learn_after_each,
            "learn_at_end": learn_at_end,
            "clear_stm_between": clear_stm_between,
        }
        return cast("answers.Sequence", await self._call(once(on(session_id, "observe-sequence"), body)))

    async def stm(self, session_id: str | None = None) -> answers.Stm:
        """Return the short-term memory."""
        return cast("answers.Stm", await self._call(get(on(session_id, "stm"))))

    async def learn(self, session_id: str | None = None) -> answers.Learned:
        """Learn the STM as a pattern; it is durable when this returns."""
        return cast("answers.Learned", await self._call(once(on(session_id, "learn"))))

    async def clear_stm(self, session_id: str | None = None) -> None:
        """Forget the short-term memory; what was learned stays."""
        await self._call(post(on(session_id, "clear-stm")))

    async def clear_all(self, session_id: str | None = None) -> None:
        """Forget the short-term memory and all that the session's node has learned, for all its sessions."""
        await self._call(post(on(session_id, "clear-all")))

    async def finalize_training(self, session_id: str) -> answers.Trained:
        """Return when everything learned so far is durable, indexed and folded."""
        call = Call("POST", on(session_id, "finalize-training"), {}, repeatable=True)
        return cast("answers.Trained", await self._call(call))

    async def predictions(
        self,
        session_id: str | None = None,
        *,
        stm: Events | None = None,
        max_predictions: int | None = None,
        recall_threshold: float | None = None,
        rank_sort_algo: str | None = None,
    ) -> answers.Predictions:
        """Return what is expected next. With `stm` it is asked about that, and the session is left as it is."""
        overrides = present(
            max_predictions=max_predictions, recall_threshold=recall_threshold, rank_sort_algo=rank_sort_algo
        )
        path = on(session_id, "predictions")
        call = get(path, **overrides)
        if stm is not None:
            call = Call("POST", path, {**overrides, "stm": [list(event) for event in stm]}, repeatable=True)
        return cast("answers.Predictions", await self._call(call))

    async def percept_data(self, session_id: str | None = None) -> dict[str, Any]:
        """Return what the last accepted observation held."""
        return cast("dict[str, Any]", (await self._call(get(on(session_id, "percept-data"))))["percept_data"])

    async def cognition_data(self, session_id: str | None = None) -> dict[str, Any]:
        """Return what a session has in mind: its STM, what it has accumulated, what it expects."""
        return cast("dict[str, Any]", (await self._call(get(on(session_id, "cognition-data"))))["cognition_data"])

    async def pattern(self, name: str, *, node_id: str) -> answers.Pattern:
        """Return one pattern of a node's knowledge base by its name, with or without `PTRN|`."""
        found = await self._call(get(f"/pattern/{calls.segment(name)}", node_id=node_id))
        return cast("answers.Pattern", found["pattern"]["pattern"])

    async def patterns(
        self, *, node_id: str, prefix: str | None = None, contains: str | None = None
    ) -> AsyncIterator[answers.Pattern]:
        """Yield a node's patterns by name, page by page; those that begin with `prefix`, hold the symbol `contains`."""
        cursor: str | None = None
        while True:
            page = await self._call(get("/patterns", node_id=node_id, prefix=prefix, contains=contains, cursor=cursor))
            for pattern in page["patterns"]:
                yield pattern
            cursor = page["next_cursor"]
            if not cursor:
                return

    async def symbols(self, *, node_id: str) -> answers.Symbols:
        """Return the statistics of every symbol of a node, and the node's totals."""
        return cast("answers.Symbols", await self._call(get("/symbols/stats", node_id=node_id)))

    async def affinity(self, symbol: str, *, node_id: str) -> dict[str, float]:
        """Return one symbol's affinity by emotive; empty for a symbol that is unknown."""
        call = get(f"/symbols/{calls.segment(symbol)}/affinity", node_id=node_id)
        return cast("dict[str, float]", (await self._call(call))["affinity"])

    async def export(self, node_id: str | None = None) -> AsyncIterator[bytes]:
        """Yield the memory of one node or of all as JSON Lines, in chunks of bytes as they come.

        Raises:
            DamagedExport: after the last chunk, when it is not whole.
        """
        digest = calls.Digest()
        try:
            async with self._http.stream("GET", "/export", params=calls.texts({"node_id": node_id})) as response:
                if response.is_error:
                    await response.aread()
                    raise calls.refusal(response)
                async for chunk in response.aiter_bytes():
                    digest.take(chunk)
                    yield chunk
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        digest.finish()

    async def import_memory(
        self,
        lines: Callable[[], AsyncIterable[bytes]],
        *,
        node_id: str | None = None,
        merge: bool = False,
        key: str | None = None,
    ) -> answers.Imported:
        """Take in an export; `lines` makes its chunks, anew for each attempt; `key` names it for later repetitions."""
        query = calls.texts({"node_id": node_id, "merge": merge})
        headers = {**calls.key(key), "Content-Type": "application/x-ndjson"}

        def request() -> httpx.Request:
            return self._http.build_request("POST", "/import", params=query, headers=headers, content=lines())

        return cast("answers.Imported", await self._send(request, Call("POST", "/import", repeatable=True)))

    async def _call(self, call: Call) -> dict[str, Any]:
        def request() -> httpx.Request:
            query = call.query or None
            return self._http.build_request(
                call.method, call.path, json=call.body, params=query, headers=dict(call.headers)
            )

        return await self._send(request, call)

    async def _send(self, request: Callable[[], httpx.Request], call: Call) -> dict[str, Any]:
        """Ask until there is an answer that stands, or patience is at its end."""
        patience = calls.Patience(call, self._attempts, self._patience)
        while True:
            try:
                response = await self._http.send(request())
            except httpx.TransportError as error:
                if (wait := patience.unanswered(error)) is None:
                    raise self._unreachable(error) from error
            else:
                if (wait := patience.answered(response)) is None:
                    return patience.answer(response)
            await self._sleep(wait)

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(f"no answer from {self._http.base_url}: {error or type(error).__name__}")
