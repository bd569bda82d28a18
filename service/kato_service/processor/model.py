"""What a session is, and what a request to one leaves behind. Plain values; a change makes a new one.

Called by every flow of the processor and by the stores (spec: service.md, "Sessions").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from kato_service.engine.model import Emotives, Events, Operation
from kato_spec.records import DeclarationRecord

Metadata = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Observation:
    """One observation as it was accepted. `metadata` values are lists of strings."""

    strings: tuple[str, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = ()
    emotives: Emotives = field(default_factory=dict)
    metadata: Metadata = field(default_factory=dict)
    unique_id: str | None = None


@dataclass(frozen=True, slots=True)
class Percept:
    """The last accepted observation and the session's time after it."""

    observation: Observation
    time: int


@dataclass(frozen=True, slots=True)
class Pending:
    """What a session has handed to the log in the same write that took it out of the STM.

    It is dropped as soon as the log holds it. One that is found later was cut off by a crash or by a store that
    failed: `owner` is the process that wrote or recovered it, `settled` says that the log is known to hold it, and
    `learned` is the pattern of a learn call, which its retry is answered with.
    """

    owner: str
    operations: tuple[Operation, ...]
    learned: str = ""
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """One session. Times are seconds since the epoch.

    `version` is new with every change and never used again: it names one state of the session for ever, also after a
    store has lost its last writes. `observed_*` accumulate until the next learn. `quiet` counts the observations in a
    row without a symbol, `seq` is the newest log entry that the session has seen. `declared_keys` are the keys of
    `config` that its declaration owns.
    """

    id: str
    node: str
    version: str
    created_at: float
    last_activity: float
    expires_at: float
    ttl_seconds: int
    auto_extend: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    declaration: str | None = None
    declared_keys: tuple[str, ...] = ()
    stm: Events = ()
    observed_emotives: tuple[Emotives, ...] = ()
    observed_metadata: Metadata = field(default_factory=dict)
    observed_vectors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    time: int = 0
    quiet: int = 0
    seq: int = 0
    percept: Percept | None = None
    pending: Pending | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The first answer to a request with an idempotency key. `request` is a digest of what was asked."""

    key: str
    request: str
    body: bytes
    expires_at: float


@dataclass(frozen=True, slots=True)
class Declaration:
    """A declared session and the session it is bound to."""

    record: DeclarationRecord
    session_id: str


@dataclass(frozen=True, slots=True)
class Life:
    """How an alive session stands: its times, in seconds since the epoch, and the number of events in its STM."""

    created_at: float
    last_activity: float
    expires_at: float
    stm_length: int

    @classmethod
    def of(cls, session: Session) -> Self:
        """Return how `session` stands."""
        return cls(session.created_at, session.last_activity, session.expires_at, len(session.stm))


@dataclass(frozen=True, slots=True)
class Binding:
    """What a declaration came to: the session that it is bound to, and that one's `life` unless it is over."""

    uid: str
    generation: int
    session_id: str
    life: Life | None

    @classmethod
    def of(cls, known: Declaration, life: Life | None) -> Self:
        """Return what `known` came to."""
        return cls(known.record.uid, known.record.generation, known.session_id, life)
