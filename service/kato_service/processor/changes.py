"""What has changed in a knowledge base since it was last folded. Called by `knowledge` alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from kato_service.engine.model import Deletion, Learning, Merging, Operation


@dataclass(slots=True)
class Changes:
    """Names to write, names to remove, vectors to write, and whether all from before is gone."""

    patterns: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    vectors: set[str] = field(default_factory=set)
    cleared: bool = False
    operations: int = 0

    def note(self, operation: Operation) -> None:
        """Take in one operation."""
        self.operations += len(operation.records) if isinstance(operation, Merging) else 1
        if isinstance(operation, Learning):
            self.patterns.add(operation.name)
            self.deleted.discard(operation.name)
            self.vectors |= operation.vectors.keys()
        elif isinstance(operation, Merging):
            names = {record.name for record in operation.records}
            self.patterns |= names
            self.deleted -= names
            self.vectors |= operation.vectors.keys()
        elif isinstance(operation, Deletion):
            self.patterns.discard(operation.name)
            self.deleted.add(operation.name)
        else:
            self.patterns, self.deleted, self.vectors = set(), set(), set()
            self.cleared = True

    def then(self, later: Changes) -> Changes:
        """Return these changes and `later` ones as one."""
        operations = self.operations + later.operations
        if later.cleared:
            return Changes(later.patterns, later.deleted, later.vectors, True, operations)
        return Changes(
            (self.patterns - later.deleted) | later.patterns,
            (self.deleted - later.patterns) | later.deleted,
            self.vectors | later.vectors,
            self.cleared,
            operations,
        )
