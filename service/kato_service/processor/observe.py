"""Observing: symbols, vectors, emotives and metadata join a session, which may then learn by itself. Called by the API.

Spec: engine.md, sections 2 and 6; service.md, the endpoints observe and observe-sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from kato_service.engine.learning import united_metadata
from kato_service.engine.limits import VectorDimension
from kato_service.engine.model import Event, Learning
from kato_service.engine.naming import event_of
from kato_service.engine.vectors import combined, symbols_of, vector_symbol
from kato_service.processor.knowledge import Knowledge
from kato_service.processor.learn import cleared, learning_of, operation_id
from kato_service.processor.model import Observation, Pending, Percept, Session
from kato_service.processor.predict import keep_up
from kato_service.processor.processor import Processor
from kato_service.processor.sessions import Done, Retry
from kato_spec.parameters import Parameters


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


@dataclass(slots=True)
class Course:
    """One request's way over a session: the session so far and what it has learned on the way."""

    session: Session
    parameters: Parameters
    knowledge: Knowledge
    retry: Retry | None
    learnings: list[Learning] = field(default_factory=list)

    def observe(self, observation: Observation) -> Observed:
        """Let one observation join, and auto-learn if that makes it due."""
        session = self._joined(observation)
        self.session = session
        due = 0 < self.parameters.max_pattern_length <= len(session.stm)
        rolling = due and self.parameters.stm_mode == "ROLLING"
        # Of n events the last n - 1 stay; of one, none.
        learned = self.learn(session.stm[1:] if rolling else ()) if due else ""
        at_rest = 0 < self.parameters.quiescence <= session.quiet
        return Observed(len(self.session.stm), session.time, observation.unique_id, learned, at_rest)

    def learn(self, keep: tuple[Event, ...] = ()) -> str:
        """Learn the STM and leave `keep` of it; return the pattern's bare name, empty when there was too little."""
        op_id = operation_id(self.session, self.retry, len(self.learnings))
        learning = learning_of(self.session, self.parameters, op_id)
        self.session = cleared(self.session, keep)
        if learning is None:
            return ""
        self.learnings.append(learning)
        return learning.name

    def outcome(self, owner: str) -> Session:
        """Return the session after all of it, with what is to go to the log."""
        if not self.learnings:
            return self.session
        return replace(self.session, pending=Pending(owner, tuple(self.learnings)))

    def _joined(self, observation: Observation) -> Session:
        session = self.session
        vectors, symbols = self._vectors(observation)
        event = event_of(observation.strings, symbols, self.parameters.sort_symbols)
        emotives, metadata = observation.emotives, observation.metadata
        time = session.time + 1
        return replace(
            session,
            stm=(*session.stm, event) if event else session.stm,
            observed_emotives=(*session.observed_emotives, emotives) if emotives else session.observed_emotives,
            observed_metadata=united_metadata((session.observed_metadata, metadata))
            if metadata
            else session.observed_metadata,
            observed_vectors=vectors,
            time=time,
            quiet=0 if event else session.quiet + 1,
            percept=Percept(observation, time),
        )

    def _vectors(self, observation: Observation) -> tuple[dict[str, tuple[float, ...]], tuple[str, ...]]:
        """Return the session's vectors with the observation's sum among them, and the symbols that its event gets."""
        vectors = dict(self.session.observed_vectors)
        if not observation.vectors:
            return vectors, ()
        matcher = self.knowledge.matcher
        known = next(iter(vectors.values()), None) or next(iter(matcher.vectors().values()), None)
        found = len(observation.vectors[0])
        if known is not None and len(known) != found:
            raise VectorDimension("vectors", len(known), found)
        vector = combined(observation.vectors)
        vectors.setdefault(vector_symbol(vector), vector)
        return vectors, symbols_of(vector, matcher.nearest)


async def observe(
    processor: Processor, session_id: str, observation: Observation, retry: Retry | None = None
) -> Done[Observed]:
    """Observe once; when this returns the session has it, and what it made due is learned.

    Raises:
        VectorDimension: a vector of another dimension than the KB's.
        SessionNotFound, KeyReused, StoreUnavailable.
    """

    async def step(session: Session) -> tuple[Session, Observed]:
        course = await _course(processor, session, retry)
        observed = course.observe(observation)
        return course.outcome(processor.sessions.owner), observed

    done = await processor.sessions.act(session_id, step, OBSERVED, retry=retry)
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
        observed = _run(course, observations, plan)
        return course.outcome(processor.sessions.owner), observed

    done = await processor.sessions.act(session_id, step, SEQUENCE_OBSERVED, retry=retry)
    await keep_up(processor, done.session)
    return done


def _run(course: Course, observations: Sequence[Observation], plan: Plan) -> SequenceObserved:
    initial = len(course.session.stm)
    results: list[Observed] = []
    learned: list[str] = []
    for index, observation in enumerate(observations):
        if index and plan.clear_stm_between:
            course.session = cleared(course.session)
        observed = course.observe(observation)
        if plan.learn_after_each and course.session.stm:
            observed = replace(observed, auto_learned=course.learn() or observed.auto_learned)
        results.append(replace(observed, stm_length=len(course.session.stm)))
        learned += [observed.auto_learned] if observed.auto_learned else []
    final = course.learn() if plan.learn_at_end and course.session.stm else ""
    return SequenceObserved(tuple(results), initial, len(course.session.stm), tuple(learned), final)


async def _course(processor: Processor, session: Session, retry: Retry | None) -> Course:
    knowledge = await processor.library.read(session.node)
    await knowledge.reach(session.seq)
    return Course(session, processor.parameters.resolve(session.config), knowledge, retry)
