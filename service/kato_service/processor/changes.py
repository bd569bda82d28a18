"""What has changed in a knowledge base since it was last folded. Called by `knowledge` alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from sys import getsizeof

from kato_service.engine.model import Deletion, Learning, Merging, Operation, PatternRecord

Touched = dict[str, int]  # name -> the entry that touched it last
FLOAT_BYTES = getsizeof(0.0)


@dataclass(slots=True)
class Changes:
    """Names to write, names to remove, vectors to write, and the entry that removed all from before it, 0 for none.

    `size`: bytes that the operations take up in memory; `sizes` has them by entry.
    """

    patterns: Touched = field(default_factory=dict)
    deleted: Touched = field(default_factory=dict)
    vectors: Touched = field(default_factory=dict)
    cleared: int = 0
    operations: int = 0
    size: int = 0
    sizes: dict[int, int] = field(default_factory=dict)

    def note(self, operation: Operation, seq: int) -> None:
        """Take in one operation of entry `seq`."""
        self.operations += len(operation.records) if isinstance(operation, Merging) else 1
        size = _size(operation)
        self.size += size
        self.sizes[seq] = self.sizes.get(seq, 0) + size
        if isinstance(operation, Learning):
            self._write((operation.name,), operation.vectors, seq)
        elif isinstance(operation, Merging):
            self._write((record.name for record in operation.records), operation.vectors, seq)
        elif isinstance(operation, Deletion):
            self.patterns.pop(operation.name, None)
            self.deleted[operation.name] = seq
        else:
            self.patterns, self.deleted, self.vectors = {}, {}, {}
            self.cleared = seq

    def then(self, later: Changes) -> Changes:
        """Return these changes and `later` ones as one."""
        counted = (self.operations + later.operations, self.size + later.size, self.sizes | later.sizes)
        if later.cleared:
            return Changes(later.patterns, later.deleted, later.vectors, later.cleared, *counted)
        return Changes(
            _without(self.patterns, later.deleted) | later.patterns,
            _without(self.deleted, later.patterns) | later.deleted,
            self.vectors | later.vectors,
            self.cleared,
            *counted,
        )

    def after(self, seq: int) -> Changes:
        """Return what entries after `seq` have changed; each name counts as one operation."""
        patterns, deleted, vectors = (
            {name: last for name, last in touched.items() if last > seq}
            for touched in (self.patterns, self.deleted, self.vectors)
        )
        operations = len(patterns) + len(deleted)
        sizes = {entry: size for entry, size in self.sizes.items() if entry > seq}
        cleared = self.cleared if self.cleared > seq else 0
        return Changes(patterns, deleted, vectors, cleared, operations, sum(sizes.values()), sizes)

    def _write(self, patterns: Iterable[str], vectors: Iterable[str], seq: int) -> None:
        for name in patterns:
            self.patterns[name] = seq
            self.deleted.pop(name, None)
        self.vectors.update(dict.fromkeys(vectors, seq))


def _without(touched: Touched, others: Touched) -> Touched:
    return {name: seq for name, seq in touched.items() if name not in others}


def _size(operation: Operation) -> int:
    """Return the bytes of what an operation brings; the pattern that it changes may have gathered more."""
    if isinstance(operation, Learning):
        return _brought(operation) + _of_vectors(operation.vectors)
    if isinstance(operation, Merging):
        return sum(map(_brought, operation.records)) + _of_vectors(operation.vectors)
    return 0


def _brought(found: Learning | PatternRecord) -> int:
    events = sum(getsizeof(event) + sum(map(getsizeof, event)) for event in found.events)
    emotives = sum(getsizeof(each) + sum(map(getsizeof, each)) + FLOAT_BYTES * len(each) for each in found.emotives)
    affinity = sum(map(getsizeof, found.affinity)) + sum(map(getsizeof, found.affinity.values()))
    metadata = sum(map(getsizeof, found.metadata))
    metadata += sum(getsizeof(values) + sum(map(getsizeof, values)) for values in found.metadata.values())
    return events + emotives + affinity + metadata


def _of_vectors(vectors: Mapping[str, tuple[float, ...]]) -> int:
    return sum(getsizeof(vector) + FLOAT_BYTES * len(vector) for vector in vectors.values())
