"""What the processor asks of the world: two stores, a clock, fresh ids. `kato_service.stores` has the answers.

One contract suite (tests/contract) runs over every store. A store that cannot be reached raises `StoreUnavailable`
within 2 s (spec: service.md, "Stores, one contract suite over all").
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kato_service.engine.model import Operation, PatternRecord
from kato_service.processor.model import Answer, Binding, Declaration, Session
from kato_spec.records import ParametersRecord, StateRecord


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a KB's log: `seq` is the last one's plus one, `at` seconds since the epoch."""

    seq: int
    at: float
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A KB as folded up to entry `seq`; `patterns` yields them in chunks, each pattern once.

    `fold_id` is of this very fold and no other one ever made; None where the store gives its folds no ids.
    """

    seq: int
    vectors: Mapping[str, tuple[float, ...]]
    patterns: AsyncIterator[Sequence[PatternRecord]]
    fold_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fold:
    """What the entries after `start` up to `end` have changed, as it stands at `end`.

    `cleared`: nothing from before counts any more, neither pattern nor vector. `at` is the time of the fold; op ids
    that were folded before `forget_before` may be forgotten (both in seconds since the epoch).
    """

    start: int
    end: int
    records: Sequence[PatternRecord]
    deleted: frozenset[str]
    vectors: Mapping[str, tuple[float, ...]]
    cleared: bool
    at: float
    forget_before: float


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the listing of sessions, newest first: what comes after it is older."""

    created_at: float
    session_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """Sessions, newest first, and how many there are in all."""

    sessions: Sequence[Session]
    total: int


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """How a store is used at this moment. `kind`: "sqlite", "mongodb", "redis" or "memory".

    `connections` are open (of a driver that does not tell: those at work), `in_use` of them at work, `waiting` callers
    have none yet; `limit` None is no limit.
    """

    kind: str
    connections: int = 0
    in_use: int = 0
    waiting: int = 0
    limit: int | None = None


class IndexCopies(Protocol):
    """Copies of what a matcher holds, for a faster start: never the truth, and lost without harm. Called in threads."""

    def find(self, node: str, fold_id: str) -> bytes | None:
        """Return the copy of the KB of `node` as of that fold, or None."""

    def keep(self, node: str, fold_id: str, dump: bytes) -> None:
        """Put a copy in the place of the one before it; where that fails there is none."""

    def drop(self, node: str) -> None:
        """Remove the copy of the KB of `node`, if there is one."""


class MemoryStore(Protocol):
    """The long-term memory of one processor: per node (KB) an append-only log and its fold."""

    @property
    def copies(self) -> IndexCopies | None:
        """Where copies of the indexes may lie beside it; None where there is no such place."""

    async def append(self, node: str, entry: Entry) -> None:
        """Make `entry` durable. All of it or nothing; when this returns it survives power loss.

        Raises:
            SequenceTaken: `entry.seq` is not the last one's plus one.
            RepeatedOperation: the log holds, or held within the last 24 hours, operations of the same op_id.
        """

    async def known(self, node: str, op_ids: Sequence[str]) -> frozenset[str]:
        """Return those of `op_ids` that the log holds, or held within the last 24 hours."""

    async def tail(self, node: str, after: int) -> Sequence[Entry]:
        """Return the entries from `after` + 1 on, gapless.

        Raises:
            LogCompacted: entry `after` + 1 has been folded away.
        """

    async def load(self, node: str) -> Snapshot:
        """Return the folded KB; seq 0 and nothing for a node that was never seen.

        Raises (also while iterating):
            LogCompacted: the fold has moved on in the meantime; load again.
        """

    async def fold(self, node: str, fold: Fold) -> int:
        """Apply `fold` if the KB is folded up to exactly `fold.start`, and drop the entries up to `fold.end`.

        Returns the entry up to which the KB is folded now: `fold.end`, or another one when someone else has folded.
        """

    async def nodes(self) -> Sequence[str]:
        """Return every node that has a KB, sorted."""

    def check(self) -> None:
        """Return where the store may be there, without asking it.

        Raises:
            StoreUnavailable: it is known to be away.
        """

    def usage(self) -> StoreUsage:
        """Return how it is used at this moment, without asking it."""

    async def ping(self) -> None:
        """Return when the store answers and can be written."""

    async def close(self) -> None:
        """Finish what is under way and let the files or connections go."""


class SessionStore(Protocol):
    """Sessions, the answers to idempotent requests, declarations, and the processor's live parameters.

    Expired sessions stay until `expire`; who reads one looks at `expires_at`.
    """

    async def create(self, session: Session, *, limit: int, now: float) -> bool:
        """Keep a new session; False, and nothing is kept, when one of its id expires after `now`. `limit` 0 is none.

        Raises:
            TooManySessions: `limit` sessions that expire after `now` are here already.
        """

    async def get(self, session_id: str) -> Session | None:
        """Return the session, or None."""

    async def replace(self, session: Session, expected: str, answer: Answer | None = None) -> bool:
        """Put `session` in the place of its version `expected` and keep `answer`, in one write; False if it is gone."""

    async def touch(self, session: Session) -> bool:
        """Slide the times of this version of a session to those of `session`, never back, without a new version.

        False when it is gone or has another version: what `session` was computed from is no more.
        """

    async def delete(self, session_id: str) -> bool:
        """Remove a session and its answers; False when there was none."""

    async def page(self, *, node: str | None, after: Position | None, limit: int, now: float) -> Page:
        """List sessions that expire after `now`, newest first, of one node or of all, from after a position on."""

    async def count(self, now: float) -> int:
        """Count the sessions that expire after `now`."""

    async def expire(self, now: float) -> Sequence[Session]:
        """Remove and return the sessions that expire at `now` or before; forget answers that have."""

    async def unsettled(self) -> Sequence[Session]:
        """Return the sessions with something pending that the log is not known to hold."""

    async def answer(self, session_id: str, key: str) -> Answer | None:
        """Return the first answer to a request with this idempotency key, or None."""

    async def declare(self, declaration: Declaration, session: Session | None, known: Declaration | None) -> bool:
        """Keep a declaration in the place of `known`, None for none, and with it its new session, in one write.

        False, and nothing is kept, when it is no longer `known` that is here.
        """

    async def bindings(self, now: float) -> Sequence[Binding]:
        """Return what every declaration came to, by uid; a session that expires at `now` or before is over."""

    async def declaration(self, uid: str) -> Declaration | None:
        """Return the declaration of `uid`, or None."""

    async def unbound(self, now: float) -> Sequence[Declaration]:
        """Return the declarations, by uid, whose session is gone or expires at `now` or before."""

    async def withdraw(self, uid: str) -> bool:
        """Remove a declaration and its session; False when there was none."""

    async def parameters(self) -> ParametersRecord | None:
        """Return the live parameters, or None when none were ever put."""

    async def save_parameters(self, record: ParametersRecord) -> None:
        """Keep the live parameters."""

    def usage(self) -> StoreUsage:
        """Return how it is used at this moment, without asking it."""

    async def ping(self) -> None:
        """Return when the store answers and can be written."""

    async def close(self) -> None:
        """Finish what is under way and let the files or connections go."""


class Wakeups(Protocol):
    """How the replicas of one processor, and the operator, wake each other. A message may be lost, never the state."""

    async def publish(self, message: bytes) -> None:
        """Send a message to every replica, this one too."""

    def messages(self) -> AsyncIterator[bytes | None]:
        """Yield what is published from now on; None first: what was published before has not been heard.

        Raises:
            StoreUnavailable: the connection broke; listen anew.
        """


class Directives(Protocol):
    """What the operator writes into the store for the replicas to take up, and what they write back."""

    async def changes(self) -> Sequence[tuple[str, bytes]]:
        """Return uid and record of each declaration that was written and not taken up; no record: it was removed."""

    async def taken(self, uid: str, record: bytes) -> None:
        """Say that a record, or with none its removal, has been taken up, whatever came of it."""

    async def report(self, replica: str, state: StateRecord) -> None:
        """Write this replica's observed state, which is forgotten when it is not written again in time."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a processor needs where several replicas share its stores. `replica` is this one's name."""

    replica: str
    wakeups: Wakeups
    directives: Directives


class Clock(Protocol):
    """The time."""

    def now(self) -> float:
        """Return seconds since the epoch."""


class Ids(Protocol):
    """Fresh names."""

    def session(self) -> str:
        """Return a session id that nobody can guess, with the processor in front of its first dot."""

    def version(self) -> str:
        """Return a version that no session ever had."""
