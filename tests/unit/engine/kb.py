"""Knowledge bases for the tests of the engine, learned the way a session learns them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kato_service.engine import learning
from kato_service.engine.model import Events, Learning
from kato_service.engine.naming import event_of
from kato_service.engine.oracle import OracleMatcher
from kato_spec.parameters import Parameters, resolve


def events_of(observed: Iterable[Sequence[str]], sort: bool = True) -> Events:
    """Return the events of an STM, given as observed."""
    return tuple(event_of(strings, (), sort) for strings in observed)


def learning_of(
    observed: Iterable[Sequence[str]],
    *,
    emotives: Sequence[Mapping[str, float]] = (),
    metadata: Sequence[Mapping[str, str]] = (),
    parameters: Parameters | None = None,
) -> Learning | None:
    """Build the learning of an STM, given as observed."""
    settled = parameters or Parameters()
    return learning.build(
        "op",
        events_of(observed, settled.sort_symbols),
        emotives=emotives,
        metadata=[{name: [value] for name, value in found.items()} for found in metadata],
        persistence=settled.persistence,
    )


def case_kb(case: Mapping[str, Any]) -> tuple[OracleMatcher, Events, Parameters]:
    """Learn a golden case's `kb` rows and return the KB, the STM and the parameters (engine.md, end of section 4)."""
    parameters = resolve(case["config"])
    matcher = OracleMatcher()
    for observed, times, *rest in case["kb"]:
        emotives, metadata = [*rest, [], []][:2]
        for _ in range(times):
            found = learning_of(observed, emotives=emotives, metadata=metadata, parameters=parameters)
            if found is not None:
                matcher.apply(found)
    return matcher, events_of(case["stm"], parameters.sort_symbols), parameters


def predictions(matcher: OracleMatcher, stm: Events, parameters: Parameters) -> list[dict[str, Any]]:
    """Return the predictions of an answer, decoded."""
    found: list[dict[str, Any]] = json.loads(matcher.predict(stm, parameters))["predictions"]
    return found
