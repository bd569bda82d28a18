"""Learning: a session's short-term memory becomes a pattern; and forgetting it. Called by the API.

Spec: engine.md, section 2; service.md, "Memory is a log".
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import TypeAdapter

from kato_service.engine.learning import build
from kato_service.engine.model import Clearing, Events, Learning
from kato_service.processor.errors import EmptyMemory
from kato_service.processor.model import Pending, Session
from kato_service.processor.processor import Processor
from kato_service.processor.sessions import NOTHING, Done, Retry
from kato_spec.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Learned:
    """What a learn came to; `pattern` is the bare name, empty when there was not enough to learn."""

    status: Literal["learned", "insufficient_data"]
    pattern: str


LEARNED = TypeAdapter(Learned)


@dataclass(frozen=True, slots=True)
class Trained:
    """What finalize-training found: the patterns of the node, all durable and folded, and the milliseconds it took."""

    node: str
    patterns: int
    milliseconds: float


async def learn(processor: Processor, session_id: str, retry: Retry | None = None) -> Done[Learned]:
    """Learn the session's STM; when this returns the learning is durable, and the STM is empty.

    Raises:
        EmptyMemory: the STM is empty.
        SessionNotFound, KeyReused, StoreUnavailable.
    """

    async def step(session: Session) -> tuple[Session, Learned]:
        cut_off = session.pending
        if cut_off and cut_off.learned and cut_off.owner == processor.sessions.owner:
            return session, Learned("learned", cut_off.learned)
        if not session.stm:
            raise EmptyMemory
        learning = _learning_of(session, processor.parameters.resolve(session.config), operation_id(session, retry))
        after = _cleared(session)
        if learning is None:
            return after, Learned("insufficient_data", "")
        pending = Pending(processor.sessions.owner, (learning,), learned=learning.name)
        return replace(after, pending=pending), Learned("learned", learning.name)

    return await processor.sessions.act(session_id, step, LEARNED, retry=retry)


async def clear_stm(processor: Processor, session_id: str) -> Session:
    """Empty the session's STM and what it has accumulated."""

    async def step(session: Session) -> tuple[Session, None]:
        return _cleared(session), None

    return (await processor.sessions.act(session_id, step, NOTHING)).session


async def clear_all(processor: Processor, session_id: str) -> Session:
    """Empty the session's STM and forget the whole KB of its node; durable when this returns."""

    async def step(session: Session) -> tuple[Session, None]:
        clearing = Clearing(operation_id(session, None))
        return replace(_cleared(session), pending=Pending(processor.sessions.owner, (clearing,))), None

    return (await processor.sessions.act(session_id, step, NOTHING)).session


async def finalize_training(processor: Processor, session_id: str) -> Trained:
    """Return when everything learned so far in the node's KB is durable, in the index and folded."""
    session = await processor.sessions.open(session_id)
    started = time.perf_counter()
    knowledge = await processor.library.open(session.node)
    await knowledge.commit(())
    await knowledge.fold()
    patterns = knowledge.matcher.totals().total_unique_patterns
    return Trained(session.node, patterns, (time.perf_counter() - started) * 1000)


def _learning_of(session: Session, parameters: Parameters, op_id: str) -> Learning | None:
    """Return what learning the session's STM now would write, None when it holds fewer than two symbols."""
    return build(
        op_id,
        session.stm,
        emotives=session.observed_emotives,
        metadata=[session.observed_metadata],
        vectors=session.observed_vectors,
        persistence=parameters.persistence,
    )


def _cleared(session: Session, keep: Events = ()) -> Session:
    """Return the session after a learn: its accumulators empty, of its STM only `keep`."""
    return replace(session, stm=keep, observed_emotives=(), observed_metadata={}, observed_vectors={})


def operation_id(session: Session, retry: Retry | None, index: int = 0) -> str:
    """Name the operation that this state of the session, or this idempotency key, stands for.

    A version names one state for ever, so the same id always means the same learning.
    """
    key = session.version if retry is None else hashlib.sha256(retry.key.encode()).hexdigest()[:32]
    return f"{session.id}:{key}:{index}" if index else f"{session.id}:{key}"
