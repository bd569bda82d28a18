"""Processors inside the test's own process, with a clock and ids that the test holds. Called by tests/unit/service."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from kato_service.api import applications
from kato_service.api.front_door import Guard
from kato_service.engine.model import Events, Operation
from kato_service.engine.oracle import OracleMatcher
from kato_service.processor.errors import StoreUnavailable
from kato_service.processor.model import Answer, Observation, Session
from kato_service.processor.ports import MemoryStore, SessionStore
from kato_service.processor.processor import Processor
from kato_service.stores.memory import VolatileMemory, VolatileSessions
from kato_spec.parameters import Parameters


@dataclass
class HeldClock:
    """A clock that stands until it is moved."""

    time: float = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class CountedIds:
    """Ids in order, so that a test can name them; `start` keeps two processes apart."""

    start: str = ""
    count: int = 0

    def session(self) -> str:
        self.count += 1
        return f"p.session{self.start}{self.count}"

    def version(self) -> str:
        self.count += 1
        return f"v{self.start}{self.count}"


@dataclass
class World:
    """What outlives a process: the stores and the time. Each `processor` is a process on them, or a replica."""

    memory: MemoryStore = field(default_factory=VolatileMemory)
    sessions: SessionStore = field(default_factory=VolatileSessions)
    clock: HeldClock = field(default_factory=HeldClock)
    processes: int = 0

    def processor(self) -> Processor:
        self.processes += 1
        return Processor(
            "p",
            "P",
            memory=self.memory,
            sessions=self.sessions,
            clock=self.clock,
            ids=CountedIds(f"{self.processes}-"),
            make_matcher=OracleMatcher,
        )

    async def started(self) -> Processor:
        processor = self.processor()
        await processor.start()
        return processor


async def new_session(processor: Processor, node: str = "alice", **config: object) -> str:
    session = processor.sessions.new(node, config=config)
    await processor.sessions.keep(session)
    return session.id


def client(processor: Processor) -> httpx.AsyncClient:
    """Return a client of the processor's API without a network; errors that nobody has thought of are answered."""
    app = applications.api(applications.new_monitor(processor), Guard((), 10_000, processor.id))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def seen(*strings: str, **more: object) -> Observation:
    return Observation(strings, **more)  # type: ignore[arg-type] # fields by name, as the test gives them


class FailingSessions(VolatileSessions):
    """Sessions whose next writes can be made to fail, or to be overtaken by another request."""

    def __init__(self) -> None:
        super().__init__()
        self.overtake: list[Session] = []
        self.touchable = True

    async def replace(self, session: Session, expected: str, answer: Answer | None = None) -> bool:
        if self.overtake:
            self._sessions[session.id] = self.overtake.pop()
        return await super().replace(session, expected, answer)

    async def touch(self, session: Session) -> bool:
        if not self.touchable:
            raise StoreUnavailable("away")
        return await super().touch(session)


class HeldMatcher(OracleMatcher):
    """A matcher whose predictions and listings wait, to see what may happen meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.applied_inside = False

    def apply(self, operation: Operation) -> None:
        self.applied_inside |= self.inside.is_set() and not self.go_on.is_set()
        super().apply(operation)

    def predict(self, stm: Events, parameters: Parameters) -> bytes:
        self._wait()
        return super().predict(stm, parameters)

    def names(
        self, after: str = "", start: str = "", symbol: str | None = None, count: int | None = None
    ) -> Sequence[str]:
        self._wait()
        return super().names(after, start, symbol, count)

    def statistics(self) -> bytes:
        self._wait()
        return super().statistics()

    def affinities(self) -> bytes:
        self._wait()
        return super().affinities()

    def _wait(self) -> None:
        self.inside.set()
        assert self.go_on.wait(10)
