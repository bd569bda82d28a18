"""How much a store reads or writes at once: by number, and by bytes where it is long. Called by SQLite and MongoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

PIECE = 2000  # patterns, vectors or documents
PIECE_BYTES = 4 * 1024 * 1024  # of bodies; fewer items, where they are long
Item = TypeVar("Item")


def piece(items: Iterator[Item], size: Callable[[Item], int]) -> list[Item]:
    """Return the next `items` that go together, at least one, none at the end; `size` is the bytes of an item."""
    some, held = list[Item](), 0
    for item in items:
        some.append(item)
        held += size(item)
        if len(some) == PIECE or held >= PIECE_BYTES:
            break
    return some
