"""Vectors: the symbol of an observation's vectors, and the learned ones nearest to it (engine.md, section 6).

`symbols_of` is called by the processor when it observes; `LearnedVectors` is what a matcher keeps of them.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from operator import mul

from kato_service.engine.floats import left_sum

VECTOR_PREFIX = "VCTR|"
NEAREST = 3

Vector = tuple[float, ...]


def combined(vectors: Sequence[Vector]) -> Vector:
    """Return the sum of at least one vector, all of one dimension.

    Each component is rounded once (`math.fsum`), so the order of the vectors makes no difference; -0.0 becomes 0.0.
    """
    return tuple(math.fsum(components) + 0.0 for components in zip(*vectors, strict=True))


def vector_symbol(vector: Vector) -> str:
    """Return the name of a combined vector: `VCTR|` and SHA-1, in hex, of its values as little-endian float64."""
    packed = struct.pack(f"<{len(vector)}d", *vector)
    return VECTOR_PREFIX + hashlib.sha1(packed, usedforsecurity=False).hexdigest()


def symbols_of(vector: Vector, nearest: Callable[[Vector, int], tuple[str, ...]]) -> tuple[str, ...]:
    """Return what an event gets for a combined `vector`: its name, then those of its nearest learned vectors.

    `nearest` is `Matcher.nearest`. A vector that is itself learned is among its nearest and named once.
    """
    name = vector_symbol(vector)
    return (name, *(other for other in nearest(vector, NEAREST) if other != name))


class LearnedVectors:
    """The learned vectors of a KB, searched by cosine."""

    def __init__(self) -> None:
        self.values: dict[str, Vector] = {}
        self._units: dict[str, Vector] = {}

    def learn(self, vectors: Mapping[str, Vector]) -> None:
        """Keep `vectors`, by symbol; one that is known changes nothing."""
        for symbol, vector in vectors.items():
            if symbol not in self.values:
                self.values[symbol] = vector
                self._units[symbol] = unit(vector)

    def nearest(self, vector: Vector, count: int) -> tuple[str, ...]:
        """Return the symbols of the `count` vectors of the same dimension with the greatest cosine, ties by symbol."""
        wanted = unit(vector)
        ranked = sorted(
            (-cosine(wanted, other), symbol) for symbol, other in self._units.items() if comparable(wanted, other)
        )
        return tuple(symbol for _, symbol in ranked[:count])


def unit(vector: Vector) -> Vector:
    """Return `vector` at length 1; a zero vector stays zero.

    Each value is divided by the greatest magnitude first, so that no square overflows or vanishes, then by
    sqrt(`left_sum` of the squares).
    """
    greatest = max(map(abs, vector), default=0.0)
    if not greatest:
        return vector
    scaled = [value / greatest for value in vector]
    length = math.sqrt(left_sum(map(mul, scaled, scaled)))
    return tuple(value / length for value in scaled)


def comparable(first: Vector, second: Vector) -> bool:
    """Say whether two vectors have one dimension, as all of a KB have."""
    return len(first) == len(second)


def cosine(first: Vector, second: Vector) -> float:
    """Return the cosine of two `unit` vectors: `left_sum` of the products; 0.0 when one is zero."""
    return left_sum(map(mul, first, second))
