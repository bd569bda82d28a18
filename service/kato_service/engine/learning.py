"""From a short-term memory to the `Learning` that the log keeps.

Called by the processor when a session learns. Everything that depends on the session (its emotives, metadata,
persistence) is settled here, so that applying the learning later needs nothing else (engine.md, sections 1 and 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from kato_service.engine.model import AFFINITY_ONE, Emotives, Events, Learning
from kato_service.engine.naming import pattern_name

LEAST_SYMBOLS = 2


def build(
    op_id: str,
    events: Events,
    *,
    emotives: Sequence[Emotives] = (),
    metadata: Iterable[Mapping[str, Iterable[str]]] = (),
    vectors: Mapping[str, tuple[float, ...]] | None = None,
    persistence: int = 5,
) -> Learning | None:
    """Build the learning of `events`, or return None when they hold fewer than two symbols (`insufficient_data`).

    `emotives` and `metadata` are the observations' dictionaries, oldest first, empty ones allowed; `vectors` maps the
    vector symbols first seen in this STM to their values. All of them have passed `limits`.
    """
    if sum(map(len, events)) < LEAST_SYMBOLS:
        return None
    window = tuple(dict(dictionary) for dictionary in emotives if dictionary)
    return Learning(
        op_id=op_id,
        name=pattern_name(events),
        events=events,
        emotives=window,
        affinity=mean_affinity(window),
        metadata=united_metadata(metadata),
        vectors=dict(vectors or {}),
        persistence=persistence,
    )


def mean_affinity(dictionaries: Iterable[Emotives]) -> dict[str, int]:
    """Return each emotive's mean over the dictionaries that have it, times `AFFINITY_ONE`, rounded half to even.

    Computed with fractions, so the only rounding is the last one and no order matters.
    """
    values: dict[str, list[Fraction]] = {}
    for dictionary in dictionaries:
        for name, value in dictionary.items():
            values.setdefault(name, []).append(Fraction(value))
    return {name: round(sum(found) / len(found) * AFFINITY_ONE) for name, found in sorted(values.items())}


def united_metadata(dictionaries: Iterable[Mapping[str, Iterable[str]]]) -> dict[str, tuple[str, ...]]:
    """Return name -> its distinct values over all `dictionaries`, names and values sorted by code point."""
    values: dict[str, set[str]] = {}
    for dictionary in dictionaries:
        for name, strings in dictionary.items():
            values.setdefault(name, set()).update(strings)
    return {name: tuple(sorted(found)) for name, found in sorted(values.items())}
