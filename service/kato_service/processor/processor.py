"""The processor: its parts put together, its start, its end, its housekeeping.

Made by the composition root; the flows `observe`, `learn` and `predict` are given it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import structlog

from kato_service.engine.model import Learning, Matcher
from kato_service.engine.naming import shown_name
from kato_service.processor import background
from kato_service.processor.declarations import Declarations
from kato_service.processor.directives import Directives
from kato_service.processor.errors import StillLoading, StoreUnavailable
from kato_service.processor.events import Events
from kato_service.processor.kept import KeptPredictions
from kato_service.processor.library import Library
from kato_service.processor.parameters import LiveParameters
from kato_service.processor.ports import Clock, Ids, MemoryStore, SessionStore, Sharing
from kato_service.processor.replicas import Replicas
from kato_service.processor.sessions import Sessions
from kato_spec.records import ParametersRecord, StateRecord

DEFAULT_NODE = "default"
SWEEP_SECONDS = 1.0
log = structlog.get_logger()


class Processor:
    """One KATO processor. `loaded`: its memory is whole. `draining`: it is about to stop and wants no new work."""

    def __init__(
        self,
        processor_id: str,
        name: str,
        *,
        memory: MemoryStore,
        sessions: SessionStore,
        clock: Clock,
        ids: Ids,
        make_matcher: Callable[[], Matcher],
        sharing: Sharing | None = None,
    ) -> None:
        self.id = processor_id
        self.loaded = False
        self.draining = False
        self.started_at = clock.now()
        self.clock = clock
        self.matcher_kind = make_matcher().kind
        self.events = Events(clock)
        self.replicas = self._join(sharing, ids.version()) if sharing else None
        self.library = Library(memory, clock, make_matcher, learned=self._tell_learned, appended=self._appended)
        self.parameters = LiveParameters(sessions, self.events)
        self.sessions = Sessions(sessions, self.library, self.parameters, self.events, clock=clock, ids=ids)
        self.declarations = Declarations(sessions, self.sessions)
        self.directives = Directives(sharing.directives if sharing else None, self.parameters, self.declarations)
        self.kept = KeptPredictions()
        self.importing = asyncio.Lock()
        self._name = name
        self._memory, self._store, self._sharing = memory, sessions, sharing
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The human-readable name: the live record's, else the one it was started with."""
        record = self.parameters.record
        return (record and record.display_name) or self._name

    @property
    def default_session(self) -> str:
        """The id of the session that calls without a session act on."""
        return f"{self.id}.default"

    async def start(self, record: ParametersRecord | None = None) -> None:
        """Read the memory, finish what a crash has cut off, and take up `record` if it is newer than the live one.

        A store that others run is waited for when it is away.
        """
        while True:
            try:
                await self._load(record)
            except StoreUnavailable as error:
                if self._sharing is None:
                    raise
                log.warning("waiting_for_store", error=str(error))
                await asyncio.sleep(error.retry_after)
            else:
                break
        self._sweeper = asyncio.create_task(self._sweep_for_ever())
        if self.replicas:
            self.replicas.start()
        self.loaded = True

    async def stop(self) -> None:
        """Fold the memory and close the stores; requests have ended by now."""
        async with AsyncExitStack() as last_first:  # each is done whatever became of those below it
            last_first.push_async_callback(self._store.close)
            last_first.push_async_callback(self._memory.close)
            last_first.push_async_callback(self._close_library)
            if self.replicas:
                last_first.push_async_callback(self.replicas.stop)
            if self._sweeper:
                last_first.push_async_callback(background.end, self._sweeper)

    def check_loaded(self) -> None:
        """Raise `StillLoading` while the memory is not whole."""
        if not self.loaded:
            raise StillLoading

    def stores(self) -> Mapping[str, MemoryStore | SessionStore]:
        """Return the stores by what they keep, to be asked how they are."""
        return {"memory": self._memory, "sessions": self._store}

    async def issues(self) -> list[str]:
        """Say what keeps the processor from serving; nothing when it serves."""
        found = [] if self.loaded else ["the memory is not loaded yet"]
        found += ["the process is about to stop"] if self.draining else []
        for store in (self._memory, self._store):
            try:
                await store.ping()
            except StoreUnavailable as error:
                found.append(str(error))
        return found

    async def check_stores(self) -> None:
        """Return when both stores answer.

        Raises:
            StoreUnavailable: the first that does not.
        """
        for store in (self._memory, self._store):
            await store.ping()

    async def look(self) -> None:
        """Take up what the operator, or another replica on its behalf, has changed, and write back how this one is."""
        await self.directives.take_up()
        if self._sharing and self.loaded:
            await self._sharing.directives.report(self._sharing.replica, await self.state())

    async def configure(self, record: ParametersRecord) -> None:
        """Make a parameters record live, here now and on the other replicas as soon as they hear of it.

        Raises:
            StaleGeneration, InvalidParameters: see `LiveParameters.put`.
        """
        await self.parameters.put(record)
        if self.replicas:
            self.replicas.changed()

    async def sweep(self) -> None:
        """Let expired sessions go; declared ones that are to be renewed come again."""
        for session in await self.sessions.expire():
            self.kept.forget(session.id)
        await self.declarations.renew_all()

    async def delete(self, session_id: str) -> None:
        """Remove a session; a declared one that is to be renewed comes again under a new id.

        Raises:
            SessionNotFound: there is none, or it has expired.
        """
        session = await self.sessions.delete(session_id)
        self.kept.forget(session_id)
        if session.declaration:
            await self.declarations.renew(session.declaration)

    async def open_default(self) -> str:
        """Return the id of the default session, which is made when it is not there or has expired."""
        session_id = self.default_session
        if await self.sessions.find(session_id) is None:
            await self.sessions.keep(self.sessions.new(DEFAULT_NODE, session_id=session_id), limited=False)
        return session_id

    async def state(self) -> StateRecord:
        """Return what the operator may know of this replica."""
        record = self.parameters.record
        return StateRecord(
            processor_id=self.id,
            parameters_uid=record.uid if record else None,
            parameters_generation=record.generation if record else None,
            patterns=self.library.patterns(),
            active_sessions=await self.sessions.count(),
            declared=await self.declarations.state(),
        )

    def _join(self, sharing: Sharing, origin: str) -> Replicas:
        replicas = Replicas(sharing.wakeups, self._library, self.look, self.events, origin)
        self.events.relay = replicas.happened
        return replicas

    def _library(self) -> Library:
        return self.library

    def _appended(self, node: str, seq: int) -> None:
        if self.replicas:
            self.replicas.learned(node, seq)

    async def _close_library(self) -> None:
        try:
            await self.library.close()
        except StoreUnavailable as error:  # the log has it all
            log.warning("not_folded", error=str(error))

    async def _load(self, record: ParametersRecord | None) -> None:
        await self.directives.take_up()
        if record is not None:
            await self.parameters.offer(record)
        await self.library.load()
        await self.sessions.recover()
        await self.sweep()

    def _tell_learned(self, node: str, learning: Learning) -> None:
        session_id, _, _ = learning.op_id.rpartition(":")
        data = {"pattern_name": shown_name(learning.name), "node_id": node, "user_id": node, "session_id": session_id}
        self.events.publish_here("pattern.learned", {**data, "length": sum(map(len, learning.events))})

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await background.attempt("look", self.look())
            await background.attempt("sweep", self.sweep())
