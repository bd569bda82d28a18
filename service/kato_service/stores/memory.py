"""Both stores in the process's own memory: for tests, and for a service that is to keep nothing.

Called by the composition root when no data directory is set. Several knowledge bases or session rooms may share one
store: to each other they are replicas.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from kato_service.engine.model import PatternRecord
from kato_service.processor.errors import LogCompacted, RepeatedOperation, SequenceTaken, TooManySessions
from kato_service.processor.model import Answer, Binding, Declaration, Life, Session
from kato_service.processor.ports import Entry, Fold, Page, Position, Snapshot, StoreUsage
from kato_spec.records import ParametersRecord


@dataclass(slots=True)
class _Base:
    """One KB: its entries after `folded`, its patterns at `folded`, and the op ids with the times of their folds."""

    folded: int = 0
    entries: list[Entry] = field(default_factory=list)
    patterns: dict[str, PatternRecord] = field(default_factory=dict)
    vectors: dict[str, tuple[float, ...]] = field(default_factory=dict)
    op_ids: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return self.folded + len(self.entries)


class VolatileMemory:
    """`MemoryStore` in this process."""

    copies = None

    def __init__(self) -> None:
        self._bases: dict[str, _Base] = {}

    async def append(self, node: str, entry: Entry) -> None:
        """See `MemoryStore.append`."""
        base = self._bases.setdefault(node, _Base())
        if entry.seq != base.last + 1:
            raise SequenceTaken(node, entry.seq)
        op_ids = [operation.op_id for operation in entry.operations]
        if repeated := frozenset(op_ids) & base.op_ids.keys():
            raise RepeatedOperation(frozenset(repeated))
        base.entries.append(entry)
        base.op_ids |= dict.fromkeys(op_ids, (entry.seq, entry.at))

    async def known(self, node: str, op_ids: Sequence[str]) -> frozenset[str]:
        """See `MemoryStore.known`."""
        return frozenset(op_ids) & self._bases.get(node, _Base()).op_ids.keys()

    async def tail(self, node: str, after: int) -> Sequence[Entry]:
        """See `MemoryStore.tail`."""
        base = self._bases.get(node, _Base())
        if after < base.folded:
            raise LogCompacted(node, base.folded)
        return tuple(base.entries[after - base.folded :])

    async def load(self, node: str) -> Snapshot:
        """See `MemoryStore.load`."""
        base = self._bases.get(node, _Base())
        return Snapshot(base.folded, dict(base.vectors), _once(tuple(base.patterns.values())))

    async def fold(self, node: str, fold: Fold) -> int:
        """See `MemoryStore.fold`."""
        base = self._bases.setdefault(node, _Base())
        if base.folded != fold.start:
            return base.folded
        if fold.cleared:
            base.patterns, base.vectors = {}, {}
        for name in fold.deleted:
            base.patterns.pop(name, None)
        base.patterns |= {record.name: record for record in fold.records}
        base.vectors |= fold.vectors
        base.entries = [entry for entry in base.entries if entry.seq > fold.end]
        base.folded = fold.end
        folded = {
            op_id: (seq, fold.at if fold.start < seq <= fold.end else at) for op_id, (seq, at) in base.op_ids.items()
        }
        base.op_ids = {
            op_id: (seq, at) for op_id, (seq, at) in folded.items() if seq > fold.end or at >= fold.forget_before
        }
        return fold.end

    async def nodes(self) -> Sequence[str]:
        """See `MemoryStore.nodes`."""
        return sorted(self._bases)

    def check(self) -> None:
        """See `MemoryStore.check`: it is never away."""

    def usage(self) -> StoreUsage:
        """See `MemoryStore.usage`."""
        return StoreUsage("memory")

    async def ping(self) -> None:
        """See `MemoryStore.ping`."""

    async def close(self) -> None:
        """See `MemoryStore.close`. What was kept stays, for the next who is given this store."""


class VolatileSessions:
    """`SessionStore` in this process."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._answers: dict[str, dict[str, Answer]] = {}
        self._declarations: dict[str, Declaration] = {}
        self._parameters: ParametersRecord | None = None

    async def create(self, session: Session, *, limit: int, now: float) -> bool:
        """See `SessionStore.create`."""
        if limit and await self.count(now) >= limit:
            raise TooManySessions(limit)
        found = self._sessions.get(session.id)
        if found is not None and found.expires_at > now:
            return False
        self._sessions[session.id] = session
        return True

    async def get(self, session_id: str) -> Session | None:
        """See `SessionStore.get`."""
        return self._sessions.get(session_id)

    async def replace(self, session: Session, expected: str, answer: Answer | None = None) -> bool:
        """See `SessionStore.replace`."""
        found = self._sessions.get(session.id)
        if found is None or found.version != expected:
            return False
        self._sessions[session.id] = session
        if answer is not None:
            self._answers.setdefault(session.id, {})[answer.key] = answer
        return True

    async def touch(self, session: Session) -> bool:
        """See `SessionStore.touch`."""
        found = self._sessions.get(session.id)
        if found is None or found.version != session.version:
            return False
        self._sessions[session.id] = replace(
            found,
            last_activity=max(found.last_activity, session.last_activity),
            expires_at=max(found.expires_at, session.expires_at),
        )
        return True

    async def delete(self, session_id: str) -> bool:
        """See `SessionStore.delete`."""
        self._answers.pop(session_id, None)
        return self._sessions.pop(session_id, None) is not None

    async def page(self, *, node: str | None, after: Position | None, limit: int, now: float) -> Page:
        """See `SessionStore.page`."""
        live = [found for found in self._sessions.values() if found.expires_at > now and node in {None, found.node}]
        live.sort(key=lambda found: (found.created_at, found.id), reverse=True)
        older = [found for found in live if after is None or _place(found) < (after.created_at, after.session_id)]
        return Page(tuple(older[:limit]), len(live))

    async def count(self, now: float) -> int:
        """See `SessionStore.count`."""
        return sum(found.expires_at > now for found in self._sessions.values())

    async def expire(self, now: float) -> Sequence[Session]:
        """See `SessionStore.expire`."""
        gone = tuple(found for found in self._sessions.values() if found.expires_at <= now)
        for session in gone:
            await self.delete(session.id)
        for session_id, answers in self._answers.items():
            self._answers[session_id] = {key: answer for key, answer in answers.items() if answer.expires_at > now}
        return gone

    async def unsettled(self) -> Sequence[Session]:
        """See `SessionStore.unsettled`."""
        return tuple(found for found in self._sessions.values() if found.pending and not found.pending.settled)

    async def answer(self, session_id: str, key: str) -> Answer | None:
        """See `SessionStore.answer`."""
        return self._answers.get(session_id, {}).get(key)

    async def declare(self, declaration: Declaration, session: Session | None, known: Declaration | None) -> bool:
        """See `SessionStore.declare`."""
        if self._declarations.get(declaration.record.uid) != known:
            return False
        self._declarations[declaration.record.uid] = declaration
        if session is not None:
            self._sessions[session.id] = session
        return True

    async def bindings(self, now: float) -> Sequence[Binding]:
        """See `SessionStore.bindings`."""
        return tuple(self._binding(found, now) for _, found in sorted(self._declarations.items()))

    async def declaration(self, uid: str) -> Declaration | None:
        """See `SessionStore.declaration`."""
        return self._declarations.get(uid)

    async def unbound(self, now: float) -> Sequence[Declaration]:
        """See `SessionStore.unbound`."""
        return tuple(self._declarations[found.uid] for found in await self.bindings(now) if found.life is None)

    async def withdraw(self, uid: str) -> bool:
        """See `SessionStore.withdraw`."""
        found = self._declarations.pop(uid, None)
        if found is not None:
            await self.delete(found.session_id)
        return found is not None

    async def parameters(self) -> ParametersRecord | None:
        """See `SessionStore.parameters`."""
        return self._parameters

    async def save_parameters(self, record: ParametersRecord) -> None:
        """See `SessionStore.save_parameters`."""
        self._parameters = record

    def usage(self) -> StoreUsage:
        """See `SessionStore.usage`."""
        return StoreUsage("memory")

    async def ping(self) -> None:
        """See `SessionStore.ping`."""

    async def close(self) -> None:
        """See `SessionStore.close`. What was kept stays, for the next who is given this store."""

    def _binding(self, known: Declaration, now: float) -> Binding:
        session = self._sessions.get(known.session_id)
        life = Life.of(session) if session is not None and session.expires_at > now else None
        return Binding.of(known, life)


def _place(session: Session) -> tuple[float, str]:
    return session.created_at, session.id


async def _once(patterns: Sequence[PatternRecord]) -> AsyncIterator[Sequence[PatternRecord]]:
    yield patterns
