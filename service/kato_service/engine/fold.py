"""The fold of learnings into a pattern, pure: what every matcher does with a `Learning` or a `Merging`.

Called by `oracle`; what the stores keep is read from the matcher, so that a document and the index in memory never
differ (service.md, "Memory is a log").
"""

from __future__ import annotations

from collections.abc import Mapping

from kato_service.engine.model import Emotives, Learning, PatternRecord


def learned(record: PatternRecord | None, learning: Learning) -> PatternRecord:
    """Return the pattern after `learning`; `record` is the pattern before it, None when it was unknown.

    The events of the first learning stay. The emotive window is cut to the learning's own `persistence`.
    """
    before = record or PatternRecord(learning.name, learning.events, 0)
    return PatternRecord(
        name=before.name,
        events=before.events,
        frequency=before.frequency + 1,
        emotives=(*before.emotives, *learning.emotives)[-learning.persistence :],
        affinity=_added(before.affinity, learning.affinity),
        metadata=_united(before.metadata, learning.metadata),
    )


def merged(record: PatternRecord | None, other: PatternRecord) -> PatternRecord:
    """Return the pattern after `other`, the same pattern of another KB, has joined it.

    The events of the first stay. `other`'s emotives count as the newer ones, and the window keeps the length of the
    longer of the two: neither KB's `persistence` is known here.
    """
    if record is None:
        return other
    length = max(len(record.emotives), len(other.emotives))
    return PatternRecord(
        name=record.name,
        events=record.events,
        frequency=record.frequency + other.frequency,
        emotives=(*record.emotives, *other.emotives)[-length:] if length else (),
        affinity=_added(record.affinity, other.affinity),
        metadata=_united(record.metadata, other.metadata),
    )


def mean_emotives(window: tuple[Emotives, ...]) -> dict[str, float]:
    """Return the mean of each emotive over the dictionaries that have it, names sorted by code point.

    The values are added from the oldest dictionary to the newest, starting at 0.0, and divided by their number.
    """
    totals: dict[str, tuple[float, int]] = {}
    for emotives in window:
        for name, value in emotives.items():
            total, count = totals.get(name, (0.0, 0))
            totals[name] = (total + value, count + 1)
    return {name: total / count for name, (total, count) in sorted(totals.items())}


def _added(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in sorted({*first, *second})}


def _united(first: Mapping[str, tuple[str, ...]], second: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    names = sorted({*first, *second})
    return {name: tuple(sorted({*first.get(name, ()), *second.get(name, ())})) for name in names}
