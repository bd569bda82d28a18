"""What has changed in a knowledge base since it was last folded. Called by `knowledge` alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kato_service.engine.model import Deletion, Learning, Merging, Operation

Touched = dict[str, int]  # name -> the entry that touched it last


@dataclass(slots=True)
class Changes:
    """Names to write, names to remove, vectors to write, and the entry that removed all from before it, 0 for none."""

    patterns: Touched = field(default_factory=dict)
    deleted: Touched = field(default_factory=dict)
    vectors: Touched = field(default_factory=dict)
    cleared: int = 0
    operations: int = 0

    def note(self, operation: Operation, seq: int) -> None:
        """Take in one operation of entry `seq`."""
        self.operations += len(operation.records) if isinstance(operation, Merging) else 1
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
        operations = self.operations + later.operations
        if later.cleared:
            return Changes(later.patterns, later.deleted, later.vectors, later.cleared, operations)
        return Changes(
            _without(self.patterns, later.deleted) | later.patterns,
            _without(self.deleted, later.patterns) | later.deleted,
            self.vectors | later.vectors,
            self.cleared,
            operations,
        )

    def after(self, seq: int) -> Changes:
        """Return what entries after `seq` have changed; each name counts as one operation."""
        patterns, deleted, vectors = (
            {name: last for name, last in touched.items() if last > seq}
            for touched in (self.patterns, self.deleted, self.vectors)
        )
        operations = len(patterns) + len(deleted)
        return Changes(patterns, deleted, vectors, self.cleared if self.cleared > seq else 0, operations)

    def _write(self, patterns: Iterable[str], vectors: Iterable[str], seq: int) -> None:
        for name in patterns:
            self.patterns[name] = seq
            self.deleted.pop(name, None)
        self.vectors.update(dict.fromkeys(vectors, seq))


def _without(touched: Touched, others: Touched) -> Touched:
    return {name: seq for name, seq in touched.items() if name not in others}
