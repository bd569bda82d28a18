"""What the API answers about sessions and knowledge: models for the document, with an example each.

Named by the routes, shown in `/docs`. Answers are written from plain values; the tests hold them to these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model

from kato_service.api.answer import Answer, example
from kato_spec.parameters import Parameters

SESSION_ID = "kato.Zm9yIGV4YW1wbGUgb25seQ"
MOMENT = "2026-01-31T12:00:00.250000+00:00"
NAME = "9e2d7c1a0b5f4e3d8c6b7a5f4e3d2c1b0a9f8e7d"
SHOWN = f"PTRN|{NAME}"
EVENTS = [["hello"], ["world"]]
WHO: dict[str, Any] = {"session_id": SESSION_ID, "node_id": "alice", "user_id": "alice", "processor_id": "kato"}
Events = list[list[str]]


# The parameters by their HTTP spelling; their own model writes them as manifests do.
Configuration: type[BaseModel] = create_model(
    "Configuration",
    __base__=Answer,
    __doc__="A session's configuration with every key resolved.",
    **{  # type: ignore[call-overload] # fields by name, which mypy cannot see
        name: (
            Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation,
            Field(description=info.description),
        )
        for name, info in Parameters.model_fields.items()
    },
)
CONFIGURATION = Parameters().model_dump()


class Who(Answer):
    """Whose answer it is. `node_id` and `user_id` are two names of one thing."""

    session_id: str
    node_id: str
    user_id: str
    processor_id: str


SESSION: dict[str, Any] = {
    "session_id": SESSION_ID,
    "node_id": "alice",
    "user_id": "alice",
    "created_at": MOMENT,
    "expires_at": MOMENT,
    "last_activity": MOMENT,
    "ttl_seconds": 3600,
    "stm_length": 0,
    "time": 0,
    "metadata": {"app": "reader"},
    "session_config": CONFIGURATION,
}


class Session(Answer):
    """A session; times are ISO 8601 in UTC, `time` counts its observations."""

    model_config = example(**SESSION)

    session_id: str
    node_id: str
    user_id: str
    created_at: str
    expires_at: str
    last_activity: str
    ttl_seconds: int
    stm_length: int
    time: int
    metadata: dict[str, Any]
    session_config: Configuration


class CreatedSession(Session):
    """A new session, and the keys of its `config` that mean nothing here."""

    model_config = example(**SESSION, ignored=[])

    ignored: list[str]


class SessionsPage(Answer):
    """Sessions, newest first; `total` counts all that are alive, `next_cursor` asks for the next page."""

    model_config = example(sessions=[], total=0, next_cursor=None)

    sessions: list[Session]
    total: int
    next_cursor: str | None


class SessionCount(Answer):
    """How many sessions are alive."""

    model_config = example(active_session_count=3)

    active_session_count: int


class Deleted(Answer):
    """A session that is no more."""

    model_config = example(status="deleted", session_id=SESSION_ID)

    status: Literal["deleted"]
    session_id: str


class Exists(Answer):
    """Whether a session is alive, or has expired a moment ago."""

    model_config = example(exists=True, expired=False, session_id=SESSION_ID)

    exists: bool
    expired: bool
    session_id: str


class Configured(Answer):
    """A session's configuration; `ignored` names the keys of the update that mean nothing."""

    model_config = example(
        status="okay", session_id=SESSION_ID, node_id="alice", user_id="alice", config=CONFIGURATION, ignored=["colour"]
    )

    status: Literal["okay"]
    session_id: str
    node_id: str
    user_id: str
    config: Configuration
    ignored: list[str]


class Extended(Answer):
    """A session's new life."""

    model_config = example(status="extended", session_id=SESSION_ID, ttl_seconds=7200, expires_at=MOMENT)

    status: Literal["extended"]
    session_id: str
    ttl_seconds: int
    expires_at: str


class Observed(Who):
    """What an observation came to. `at_rest`: `quiescence` observations in a row held no symbol."""

    model_config = example(
        status="okay",
        **WHO,
        stm_length=1,
        time=1,
        unique_id="event-1",
        auto_learned_pattern=None,
        at_rest=False,
    )

    status: Literal["okay"]
    stm_length: int
    time: int
    unique_id: str | None
    auto_learned_pattern: str | None
    at_rest: bool


class ObservedOne(Answer):
    """One observation of a sequence."""

    status: Literal["okay"]
    sequence_position: int
    stm_length: int
    time: int
    unique_id: str | None
    auto_learned_pattern: str | None


class SequenceObserved(Who):
    """What a sequence came to; `isolated` says that the STM was emptied between its observations."""

    model_config = example(
        status="okay",
        **WHO,
        observations_processed=1,
        initial_stm_length=0,
        final_stm_length=1,
        results=[
            {
                "status": "okay",
                "sequence_position": 0,
                "stm_length": 1,
                "time": 1,
                "unique_id": None,
                "auto_learned_pattern": None,
            }
        ],
        auto_learned_patterns=[],
        final_learned_pattern=None,
        isolated=False,
    )

    status: Literal["okay"]
    observations_processed: int
    initial_stm_length: int
    final_stm_length: int
    results: list[ObservedOne]
    auto_learned_patterns: list[str]
    final_learned_pattern: str | None
    isolated: bool


class Stm(Who):
    """The short-term memory: its events, oldest first, and how many there are."""

    model_config = example(stm=EVENTS, **WHO, length=2)

    stm: Events
    length: int


class Learned(Who):
    """What was learned; `pattern_name` is empty when there was too little."""

    model_config = example(
        status="learned", pattern_name=SHOWN, **WHO, message="Learned the short-term memory and cleared it"
    )

    status: Literal["learned", "insufficient_data"]
    pattern_name: str
    message: str


class Cleared(Who):
    """What was cleared: the session's short-term memory, or with it all that its node has learned."""

    model_config = example(status="cleared", **WHO, scope="stm")

    status: Literal["cleared"]
    scope: Literal["stm", "node"]


class Trained(Answer):
    """Everything learned so far is durable, indexed and folded."""

    model_config = example(status="okay", session_id=SESSION_ID, node_id="alice", patterns_processed=2000, time_ms=12.5)

    status: Literal["okay"]
    session_id: str
    node_id: str
    patterns_processed: int
    time_ms: float


class Anomaly(Answer):
    """A symbol that was taken for another one by fuzzy matching."""

    observed: str
    expected: str
    similarity: float


class Prediction(Answer):
    """A recalled pattern: what of it is past, present and future, and how well it fits."""

    type: Literal["prototypical"]
    name: str
    frequency: int
    similarity: float
    evidence: float
    confidence: float
    snr: float
    fragmentation: int
    entropy: float
    normalized_entropy: float
    global_normalized_entropy: float
    itfdf_similarity: float
    confluence: float
    tfidf_score: float
    bayesian_prior: float
    bayesian_likelihood: float
    bayesian_posterior: float
    predictive_information: float
    potential: float
    weighted_similarity: float | None
    weighted_evidence: float | None
    weighted_confidence: float | None
    weighted_snr: float | None
    emotives: dict[str, float]
    metadata: dict[str, list[str]]
    matches: list[str]
    missing: Events
    extras: Events
    past: Events
    present: Events
    future: Events
    sequence: Events
    anomalies: list[Anomaly]


class FuturePotential(Answer):
    """One distinct future and its share of the whole ensemble."""

    future: Events
    aggregate_potential: float
    supporting_patterns: int
    total_weighted_frequency: float


class Predictions(Who):
    """Predictions, best first, and the distinct futures among them."""

    model_config = example(
        predictions=[],
        future_potentials=[
            {
                "future": [["world"]],
                "aggregate_potential": 1.0,
                "supporting_patterns": 1,
                "total_weighted_frequency": 0.67,
            }
        ],
        **WHO,
        count=0,
        time=1,
    )

    predictions: list[Prediction]
    future_potentials: list[FuturePotential]
    count: int
    time: int


class Percept(Answer):
    """What the last accepted observation held; empty before the first."""

    strings: list[str] = Field([])
    vectors: list[list[float]] = Field([])
    emotives: dict[str, float] = Field({})
    metadata: dict[str, list[str]] = Field({})
    unique_id: str | None = None
    time: int = 0


class PerceptData(Who):
    """What the session last perceived."""

    model_config = example(
        percept_data={
            "strings": ["hello"],
            "vectors": [],
            "emotives": {"joy": 0.5},
            "metadata": {"book": ["one"]},
            "unique_id": None,
            "time": 1,
        },
        **WHO,
    )

    percept_data: Percept


class Cognition(Answer):
    """What a session has in mind."""

    short_term_memory: Events
    emotives: list[dict[str, float]]
    metadata: dict[str, list[str]]
    symbols: list[str]
    predictions: list[Prediction]


class CognitionData(Who):
    """What the session has in mind: its memory, what it has accumulated, and what it expects."""

    model_config = example(
        cognition_data={
            "short_term_memory": [["hello"]],
            "emotives": [],
            "metadata": {},
            "symbols": ["hello"],
            "predictions": [],
        },
        **WHO,
    )

    cognition_data: Cognition
