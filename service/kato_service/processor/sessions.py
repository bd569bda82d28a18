"""Sessions: made, found, changed one request after the other, let go.

Called by every flow. A change is one compare-and-set of the whole session; what it learns goes to the log right after
it, named in the same write, so that a crash in between is finished later and never counted twice (service.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar
from weakref import WeakValueDictionary

import orjson
import structlog
from pydantic import TypeAdapter

from kato_service.processor.errors import KeyReused, SessionNotFound, StoreUnavailable
from kato_service.processor.events import Events
from kato_service.processor.library import Library
from kato_service.processor.model import Answer, Binding, Declaration, Pending, Session
from kato_service.processor.parameters import LiveParameters
from kato_service.processor.ports import Clock, Ids, Page, Position, SessionStore
from kato_spec.parameters import parse_overrides

KEEP_ANSWERS = 24 * 3600.0  # seconds
log = structlog.get_logger()
Result = TypeVar("Result")
NOTHING: TypeAdapter[None] = TypeAdapter(None)
Step = Callable[[Session], Awaitable[tuple[Session, Result]]]


@dataclass(frozen=True, slots=True)
class Retry:
    """A request that may be asked again: its idempotency key and a digest of what it asks."""

    key: str
    request: str


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """What a request to a session came to, and the session after it."""

    session: Session
    result: Result
    repeated: bool = False  # the answer is that of an earlier request


class Sessions:
    """The sessions of one processor. `owner` names this process among those that share the store."""

    def __init__(
        self,
        store: SessionStore,
        library: Library,
        parameters: LiveParameters,
        events: Events,
        *,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self.store = store
        self.events = events
        self.owner = ids.version()
        self.operations = 0
        self.created = 0
        self.deleted = 0
        self._library, self._parameters, self._clock, self._ids = library, parameters, clock, ids
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def default_ttl(self) -> int:
        """The seconds that a session lives without activity unless it asks for something else."""
        return self._parameters.sessions.ttl_seconds

    def fresh_version(self) -> str:
        """Return a version that no session ever had."""
        return self._ids.version()

    def new(
        self,
        node: str,
        *,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Return a session that no store knows yet.

        Raises:
            InvalidParameters: naming every bad value of `config`.
        """
        now, ttl = self._clock.now(), ttl_seconds or self.default_ttl
        return Session(
            id=session_id or self._ids.session(),
            node=node,
            version=self._ids.version(),
            created_at=now,
            last_activity=now,
            expires_at=now + ttl,
            ttl_seconds=ttl,
            auto_extend=self._parameters.sessions.auto_extend,
            metadata=metadata or {},
            config=parse_overrides(config or {}).values,
        )

    async def keep(self, session: Session, *, limited: bool = True) -> bool:
        """Keep a new session; False when one of its id is alive already.

        Raises:
            TooManySessions: the processor's limit is reached and `limited`.
        """
        limit = self._parameters.sessions.max_active if limited else 0
        kept = await self.store.create(session, limit=limit, now=session.created_at)
        if kept:
            self.note_made(session)
        return kept

    def note_made(self, session: Session) -> None:
        """Count and tell that a session was made."""
        self.created += 1
        self.events.publish("session.created", {**_named(session), "ttl_seconds": session.ttl_seconds})

    def note_gone(self, session: Session, reason: Literal["explicit_delete", "expired"]) -> None:
        """Count and tell that a session is no more."""
        self.deleted += 1
        self.events.publish("session.destroyed", {**_named(session), "reason": reason})

    async def find(self, session_id: str) -> Session | None:
        """Return the session if it is alive, and do not extend its life."""
        found = await self.store.get(session_id)
        return found if found and found.expires_at > self._clock.now() else None

    async def open(self, session_id: str) -> Session:
        """Return the session and extend its life, as every call on it does.

        Raises:
            SessionNotFound: there is none, or it has expired.
        """
        self.operations += 1
        while True:
            session = await self._alive(session_id)
            if not session.auto_extend:
                return session
            active = self._active(session)
            if await self._touched(active):
                return active

    async def delete(self, session_id: str) -> Session:
        """Remove the session and return it as it was.

        Raises:
            SessionNotFound: there is none, or it has expired.
        """
        session = await self._alive(session_id)
        if not await self.store.delete(session_id):
            raise SessionNotFound(session_id)
        self.note_gone(session, "explicit_delete")
        return session

    async def page(self, *, node: str | None, after: Position | None, limit: int) -> Page:
        """List what is alive, newest first."""
        return await self.store.page(node=node, after=after, limit=limit, now=self._clock.now())

    async def bindings(self) -> Sequence[Binding]:
        """Return what every declaration came to."""
        return await self.store.bindings(self._clock.now())

    async def unbound(self) -> Sequence[Declaration]:
        """Return the declarations whose session is not alive."""
        return await self.store.unbound(self._clock.now())

    async def count(self) -> int:
        """Count what is alive."""
        return await self.store.count(self._clock.now())

    async def act(
        self,
        session_id: str,
        step: Step[Result],
        kind: TypeAdapter[Result],
        *,
        retry: Retry | None = None,
        slides: bool = True,
    ) -> Done[Result]:
        """Change a session: `step` makes the next state and the answer of the one it is given.

        `step` is called again when another request came in between, and changes nothing when it raises. What the next
        state has `pending` is in the log when this returns. With `retry` a second call gets the answer of the first,
        which `kind` reads.

        Raises:
            SessionNotFound, KeyReused, StoreUnavailable, and whatever `step` raises.
        """
        self.operations += 1
        async with self._turns.setdefault(session_id, asyncio.Lock()):
            while True:
                session = await self._alive(session_id)
                if session.pending and not session.pending.settled:
                    await self._settle(session, session.pending, leftover=True)
                    continue
                if retry and (answer := await self.store.answer(session_id, retry.key)):
                    return Done(session, _repeated(answer, retry, kind), repeated=True)
                changed, result = await step(session)
                after = self._next(session, changed, slides=slides)
                if after.pending:  # what cannot go to the log now is refused while nothing of it is kept
                    self._library.check()
                if await self.store.replace(after, session.version, self._answer(retry, result)):
                    return Done(await self._finish(after), result)

    async def recover(self) -> None:
        """Finish what a crash has cut off: whatever sessions have pending gets into the log."""
        for session in await self.store.unsettled():
            if session.pending:
                await self._settle(session, replace(session.pending, owner=self.owner), leftover=True)

    async def expire(self) -> Sequence[Session]:
        """Let go what has expired, and return it."""
        gone = await self.store.expire(self._clock.now())
        for session in gone:
            self.note_gone(session, "expired")
        return gone

    async def _touched(self, session: Session) -> bool:
        """Write that the session is active; who reads it is answered also when that cannot be written."""
        try:
            return await self.store.touch(session)
        except StoreUnavailable as error:
            log.warning("touch_failed", session=session.id, error=str(error))
            return True

    async def _alive(self, session_id: str) -> Session:
        session = await self.find(session_id)
        if session is None:
            raise SessionNotFound(session_id)
        return session

    def _active(self, session: Session, **changes: Any) -> Session:  # noqa: ANN401 - fields of a session
        now = self._clock.now()
        return replace(session, last_activity=now, expires_at=now + session.ttl_seconds, **changes)

    def _next(self, before: Session, changed: Session, *, slides: bool) -> Session:
        version, pending = self._ids.version(), None if changed.pending is before.pending else changed.pending
        if slides and changed.auto_extend:
            return self._active(changed, version=version, pending=pending)
        return replace(changed, version=version, pending=pending)

    def _answer(self, retry: Retry | None, result: object) -> Answer | None:
        if retry is None:
            return None
        return Answer(retry.key, retry.request, orjson.dumps(result), self._clock.now() + KEEP_ANSWERS)

    async def _finish(self, session: Session) -> Session:
        return await self._settle(session, session.pending, leftover=False) if session.pending else session

    async def _settle(self, session: Session, pending: Pending, *, leftover: bool) -> Session:
        """See to it that the log holds what is pending, and say so in the session.

        What is `leftover` stays as a mark, so that the retry of a learn is answered as the learn would have been.
        """
        knowledge = await self._library.open(session.node)
        seq = await knowledge.commit(pending.operations)
        mark = replace(pending, settled=True) if leftover else None
        after = replace(session, version=self._ids.version(), pending=mark, seq=seq)
        # Not replaced: another request has seen to it and gone on from there.
        return after if await self.store.replace(after, session.version) else session


def _named(session: Session) -> dict[str, Any]:
    return {"session_id": session.id, "node_id": session.node, "user_id": session.node}


def _repeated(answer: Answer, retry: Retry, kind: TypeAdapter[Result]) -> Result:
    if answer.request != retry.request:
        raise KeyReused(retry.key)
    return kind.validate_python(orjson.loads(answer.body))
