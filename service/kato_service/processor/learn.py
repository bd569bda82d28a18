"""Learning: a session's short-term memory becomes a pattern; and forgetting it. Called by the API.

Spec: engine.md, section 2; service.md, "Memory is a log".
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import TypeAdapter

from kato_service.engine.learning import build
from kato_service.engine.limits import VectorDimension
from kato_service.engine.model import Clearing, Events, Learning
from kato_service.engine.naming import pattern_name
from kato_service.engine.vectors import Vector
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
        VectorDimension: the KB has learned vectors of another dimension since the STM's were observed.
        SessionNotFound, KeyReused, StoreUnavailable.
    """

    async def step(session: Session) -> tuple[Session, Learned]:
        cut_off = session.pending
        if cut_off and cut_off.learned:
            return session, Learned("learned", cut_off.learned)
        if not session.stm:
            raise EmptyMemory
        knowledge = await processor.library.read(session.node)
        await knowledge.reach(session.seq)
        check_dimension(session.observed_vectors.values(), knowledge.matcher.vectors())
        op_id = operation_id(session, retry, session.stm)
        learning = _learning_of(session, processor.parameters.resolve(session.config), op_id)
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
    """Empty the session's STM and forget the whole KB of its node; durable when this returns.

    The log comes first and the session second: a clearing that was refused leaves nothing behind that could run later
    and take what others have learned since. Cut off between the two, the KB is empty and the STM is not; asking again
    finishes it.
    """

    async def step(session: Session) -> tuple[Session, None]:
        knowledge = await processor.library.open(session.node)
        # A fresh id: asked again, it clears again.
        seq = await knowledge.commit((Clearing(f"{session.id}:{processor.sessions.fresh_version()}"),))
        return replace(_cleared(session), seq=seq), None

    return (await processor.sessions.act(session_id, step, NOTHING)).session


async def finalize_training(processor: Processor, session_id: str) -> Trained:
    """Return when everything learned so far in the node's KB, on whatever replica, is durable, in the index and folded.

    Raises:
        SessionNotFound, StoreUnavailable.
    """
    session = await processor.sessions.open(session_id)
    started = time.perf_counter()
    knowledge = await processor.library.open(session.node)
    await knowledge.catch_up()
    await knowledge.reach(session.seq)
    await knowledge.fold()
    patterns = knowledge.matcher.totals().total_unique_patterns
    return Trained(session.node, patterns, (time.perf_counter() - started) * 1000)


def check_dimension(vectors: Iterable[Vector], *known: Mapping[str, Vector]) -> None:
    """Check that `vectors` have the dimension of the first vector that is known, if any is.

    Raises:
        VectorDimension: with the dimension expected and the one found.
    """
    expected = next((len(vector) for held in known for vector in held.values()), None)
    for vector in vectors:
        if expected is not None and len(vector) != expected:
            raise VectorDimension("vectors", expected, len(vector))


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


def operation_id(session: Session, retry: Retry | None, events: Events, index: int = 0) -> str:
    """Name the `index`-th learning, of `events`, that a request to this state of the session makes.

    A version names one state for ever. A key outlives states that a store has lost, but not the life of the session
    nor its time, which no two attempts to learn share: so one id never stands for two learnings.
    """
    attempt = session.version if retry is None else f"{retry.key}:{session.created_at!r}:{session.time}"
    digest = hashlib.sha256(f"{attempt}:{index}:{pattern_name(events)}".encode()).hexdigest()[:32]
    return f"{session.id}:{digest}"
