"""Observing: symbols, vectors, emotives and metadata join a session, which may then learn by itself. Called by the API.

Spec: engine.md, sections 2 and 6; service.md, the endpoints observe and observe-sequence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from kato_service.engine import limits
from kato_service.engine.learning import build, united_metadata
from kato_service.engine.model import Event, Learning
from kato_service.engine.naming import event_of
from kato_service.engine.vectors import LearnedVectors, Vector, combined, symbols_of, vector_symbol
from kato_service.processor.knowledge import Knowledge
from kato_service.processor.learn import check_dimension, operation_id
from kato_service.processor.model import Observation, Pending, Percept, Session
from kato_service.processor.predict import keep_up
from kato_service.processor.processor import Processor
from kato_service.processor.sessions import Done, Retry
from kato_spec.parameters import Parameters

BREATH = 16  # observations of a sequence between two looks at what else waits


@dataclass(frozen=True, slots=True)
class Observed:
    """What one observation came to; `auto_learned` is the bare name of the pattern it made due, or empty."""

    stm_length: int
    time: int
    unique_id: str | None
    auto_learned: str
    at_rest: bool


@dataclass(frozen=True, slots=True)
class SequenceObserved:
    """What a sequence of observations came to; names are bare, `final_learned` is empty when nothing was learned."""

    results: tuple[Observed, ...]
    initial_stm_length: int
    final_stm_length: int
    auto_learned: tuple[str, ...]
    final_learned: str


OBSERVED = TypeAdapter(Observed)
SEQUENCE_OBSERVED = TypeAdapter(SequenceObserved)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is learned, and what is emptied, between the observations of a sequence and at its end."""

    learn_after_each: bool = False
    learn_at_end: bool = False
    clear_stm_between: bool = False


class Course:
    """One request's way over a session: what the session holds so far and what it has learned on the way."""

    def __init__(self, session: Session, parameters: Parameters, knowledge: Knowledge, retry: Retry | None) -> None:
        self.stm = list(session.stm)
        self._symbols = sum(map(len, session.stm))
        self._session, self._parameters, self._knowledge, self._retry = session, parameters, knowledge, retry
        self._emotives = list(session.observed_emotives)
        self._metadata = [session.observed_metadata]
        self._vectors = dict(session.observed_vectors)
        self._time, self._quiet, self._percept = session.time, session.quiet, session.percept
        self._learnings: list[Learning] = []
        self._learned_vectors = LearnedVectors()

    def observe(self, observation: Observation) -> Observed:
        """Let one observation join, and auto-learn if that makes it due."""
        self._join(observation)
        due = 0 < self._parameters.max_pattern_length <= len(self.stm)
        rolling = due and self._parameters.stm_mode == "ROLLING"
        # Fewer than the limit stay, also of an STM that outgrew it before it was lowered.
        keep = self.stm[len(self.stm) - self._parameters.max_pattern_length + 1 :] if rolling else []
        learned = self.learn(keep) if due else ""
        at_rest = 0 < self._parameters.quiescence <= self._quiet
        return Observed(len(self.stm), self._time, observation.unique_id, learned, at_rest)

    def learn(self, keep: Sequence[Event] = ()) -> str:
        """Learn the STM and leave `keep` of it; return the pattern's bare name, empty when there was too little.

        Raises:
            VectorDimension: the KB has learned vectors of another dimension since the STM's were observed.
        """
        check_dimension(self._vectors.values(), self._learned_vectors.values, self._kb_vectors())
        events = tuple(self.stm)
        learning = build(
            operation_id(self._session, self._retry, events, len(self._learnings)),
            events,
            emotives=self._emotives,
            metadata=self._metadata,
            vectors=self._vectors,
            persistence=self._parameters.persistence,
        )
        self.clear(keep)
        if learning is None:
            return ""
        self._learnings.append(learning)
        self._learned_vectors.learn(learning.vectors)
        return learning.name

    def clear(self, keep: Sequence[Event] = ()) -> None:
        """Empty the accumulators, and the STM but for `keep`."""
        self.stm = list(keep)
        self._symbols = sum(map(len, keep))
        self._emotives, self._metadata, self._vectors = [], [], {}

    def outcome(self, owner: str) -> Session:
        """Return the session after all of it, with what is to go to the log."""
        return replace(
            self._session,
            stm=tuple(self.stm),
            observed_emotives=tuple(self._emotives),
            observed_metadata=united_metadata(self._metadata),
            observed_vectors=self._vectors,
            time=self._time,
            quiet=self._quiet,
            percept=self._percept,
            pending=Pending(owner, tuple(self._learnings)) if self._learnings else None,
        )

    def _join(self, observation: Observation) -> None:
        event = event_of(observation.strings, self._vector_symbols(observation), self._parameters.sort_symbols)
        self._symbols += len(event)
        limits.stm_size("stm", self._symbols)
        if event:
            self.stm.append(event)
        if observation.emotives:
            self._emotives.append(observation.emotives)
        if observation.metadata:
            self._metadata.append(observation.metadata)
        self._time += 1
        self._quiet = 0 if event else self._quiet + 1
        self._percept = Percept(observation, self._time)

    def _vector_symbols(self, observation: Observation) -> tuple[str, ...]:
        """Keep the sum of the observation's vectors until the next learn; return the symbols that its event gets."""
        if not observation.vectors:
            return ()
        check_dimension(observation.vectors[:1], self._vectors, self._learned_vectors.values, self._kb_vectors())
        vector = combined(observation.vectors)
        self._vectors.setdefault(vector_symbol(vector), vector)
        return symbols_of(vector, self._nearest)

    def _nearest(self, vector: Vector, count: int) -> tuple[str, ...]:
        """Return the nearest learned vectors, those learned on this way too, as if each call had been its own."""
        nearest, learned = self._knowledge.matcher.nearest(vector, count), self._learned_vectors
        if not learned.values:
            return nearest
        known, both = self._kb_vectors(), LearnedVectors()
        both.learn({symbol: known[symbol] for symbol in nearest})
        both.learn({symbol: learned.values[symbol] for symbol in learned.nearest(vector, count)})
        return both.nearest(vector, count)

    def _kb_vectors(self) -> Mapping[str, Vector]:
        return self._knowledge.matcher.vectors()


async def observe(
    processor: Processor, session_id: str, observation: Observation, retry: Retry | None = None
) -> Done[Observed]:
    """Observe once; when this returns the session has it, and what it made due is learned.

    Raises:
        VectorDimension: a vector of another dimension than the KB's.
        Rejected: the STM would outgrow `limits.MAX_STM_SYMBOLS`.
        SessionNotFound, KeyReused, StoreUnavailable.
    """

    async def step(session: Session) -> tuple[Session, Observed]:
        course = await _course(processor, session, retry)
        observed = course.observe(observation)
        return course.outcome(processor.sessions.owner), observed

    done = await processor.sessions.act(session_id, step, OBSERVED, retry=retry)
    if done.result.at_rest and not done.repeated:
        _tell_at_rest(processor, done.session, 1)
    await keep_up(processor, done.session)
    return done


async def observe_sequence(
    processor: Processor,
    session_id: str,
    observations: Sequence[Observation],
    plan: Plan,
    retry: Retry | None = None,
) -> Done[SequenceObserved]:
    """Observe all of `observations`, in one change of the session: all of them count or none.

    Raises: as `observe`.
    """

    async def step(session: Session) -> tuple[Session, SequenceObserved]:
        course = await _course(processor, session, retry)
        observed = await _run(course, observations, plan)
        return course.outcome(processor.sessions.owner), observed

    done = await processor.sessions.act(session_id, step, SEQUENCE_OBSERVED, retry=retry)
    results = done.result.results
    if results and results[-1].at_rest and not done.repeated:
        _tell_at_rest(processor, done.session, len(results))
    await keep_up(processor, done.session)
    return done


def _tell_at_rest(processor: Processor, session: Session, observations: int) -> None:
    """Tell that the stream has come to rest by the last `observations`; nothing when it was at rest before them."""
    if session.quiet - observations < processor.parameters.resolve(session.config).quiescence:
        data = {"session_id": session.id, "node_id": session.node, "user_id": session.node}
        processor.events.publish("session.at_rest", {**data, "observations_without_symbols": session.quiet})


async def _run(course: Course, observations: Sequence[Observation], plan: Plan) -> SequenceObserved:
    initial = len(course.stm)
    results: list[Observed] = []
    learned: list[str] = []
    for index, observation in enumerate(observations):
        if index % BREATH == 0:
            await asyncio.sleep(0)  # other requests are answered in between
        if index and plan.clear_stm_between:
            course.clear()
        observed = course.observe(observation)
        if plan.learn_after_each and course.stm:
            observed = replace(observed, auto_learned=course.learn() or observed.auto_learned)
        results.append(replace(observed, stm_length=len(course.stm)))
        learned += [observed.auto_learned] if observed.auto_learned else []
    final = course.learn() if plan.learn_at_end and course.stm else ""
    return SequenceObserved(tuple(results), initial, len(course.stm), tuple(learned), final)


async def _course(processor: Processor, session: Session, retry: Retry | None) -> Course:
    knowledge = await processor.library.read(session.node)
    await knowledge.reach(session.seq)
    return Course(session, processor.parameters.resolve(session.config), knowledge, retry)
