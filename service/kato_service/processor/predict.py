"""Predicting: what a session's short-term memory recalls, as the engine's own bytes. Called by the API and `observe`.

Spec: engine.md, sections 3 and 4; service.md, predictions and cognition-data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kato_service.engine.model import Events
from kato_service.engine.naming import event_of
from kato_service.processor.kept import Kept
from kato_service.processor.model import Session
from kato_service.processor.processor import Processor
from kato_spec.parameters import Parameters, parse_overrides

# A quotation mark inside a JSON string is escaped, so these bytes begin a prediction and occur nowhere else.
ONE_PREDICTION = b'"type":"prototypical"'


@dataclass(frozen=True, slots=True)
class Predicted:
    """The engine's JSON object, byte for byte, and the session that was asked for."""

    session: Session
    body: bytes

    @property
    def count(self) -> int:
        """The number of predictions in `body`."""
        return self.body.count(ONE_PREDICTION)


async def predict(
    processor: Processor, session_id: str, overrides: Mapping[str, Any], stm: Events | None = None
) -> Predicted:
    """Predict from the session's STM, or from `stm` as if the session had observed it; the session stays as it is.

    Raises:
        InvalidParameters: naming every bad value of `overrides`.
        SessionNotFound, StoreUnavailable.
    """
    values = parse_overrides(overrides).values
    session = await processor.sessions.open(session_id)
    parameters = processor.parameters.resolve({**session.config, **values})
    if stm is not None:
        given = tuple(event_of(event, (), parameters.sort_symbols) for event in stm)
        return Predicted(session, await _ask(processor, session, given, parameters))
    return Predicted(session, await _ask_and_keep(processor, session, parameters))


async def keep_up(processor: Processor, session: Session) -> None:
    """Compute what the session now expects and keep it, when `process_predictions` is on and it holds anything."""
    parameters = processor.parameters.resolve(session.config)
    if parameters.process_predictions and session.stm:
        await _ask_and_keep(processor, session, parameters)


async def _ask_and_keep(processor: Processor, session: Session, parameters: Parameters) -> bytes:
    knowledge = await processor.library.read(session.node)
    kept = processor.kept.get(session.id)
    same = kept and kept.seq == knowledge.seq >= session.seq
    if kept and same and (kept.stm, kept.parameters) == (session.stm, parameters):
        processor.kept.count(hit=True)
        return kept.body
    processor.kept.count(hit=False)
    await knowledge.reach(session.seq)
    seq, body = await knowledge.predict(session.stm, parameters)
    processor.kept.put(session.id, Kept(seq, session.stm, parameters, body))
    return body


async def _ask(processor: Processor, session: Session, stm: Events, parameters: Parameters) -> bytes:
    knowledge = await processor.library.read(session.node)
    await knowledge.reach(session.seq)
    _, body = await knowledge.predict(stm, parameters)
    return body
