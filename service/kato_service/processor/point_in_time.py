"""A knowledge base as it stands at one moment, read piece by piece while it goes on learning. Called by `export`.

What a change is about to touch is kept aside first, so that nobody waits for a slow reader and nothing is copied that
has not changed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from kato_service.engine.model import Deletion, Learning, Matcher, Merging, Operation, PatternRecord
from kato_service.engine.vectors import Vector


class PointInTime:
    """The patterns and vectors that `matcher` holds now; its owner announces every operation before it applies it.

    `names`: those of all its patterns, sorted.
    """

    def __init__(self, matcher: Matcher, names: Sequence[str]) -> None:
        self.names = names
        self.vectors: Mapping[str, Vector] = dict(matcher.vectors())
        self._matcher = matcher
        self._read = 0
        self._kept: dict[str, PatternRecord] = {}

    def before(self, operation: Operation) -> None:
        """Keep what `operation` is about to change and has not been read yet."""
        if isinstance(operation, Learning | Deletion):
            self._keep(operation.name)
        elif isinstance(operation, Merging):
            for record in operation.records:
                self._keep(record.name)
        else:
            for name in self.names[self._read :]:
                self._keep(name)

    def next(self, count: int) -> Sequence[PatternRecord]:
        """Return the next `count` patterns by name, fewer at the end, none after it."""
        names = self.names[self._read : self._read + count]
        found = [self._kept.pop(name, None) or self._matcher.record(name) for name in names]
        self._read += len(names)
        return [record for record in found if record]

    def _keep(self, name: str) -> None:
        place = bisect_left(self.names, name, self._read)
        known = place < len(self.names) and self.names[place] == name
        if known and name not in self._kept and (record := self._matcher.record(name)):
            self._kept[name] = record
