"""Which symbols count as equal: identity, or an indel similarity when fuzzy tokens are on.

Called by `recall` for the longest common subsequence and by `blocks` for the matching blocks, so that both always go by
one notion of equality (engine.md, section 3).
"""

from __future__ import annotations

from rapidfuzz.distance import LCSseq


def similarity_of(common: int, total: int) -> float:
    """Return `2 * common / total`, one division of exact integers: the only expression of similarity in the engine.

    `common` is the length of a longest common subsequence, `total` the sum of both lengths; 1.0 for two empty texts.
    """
    return 2 * common / total if total else 1.0


def text_similarity(first: str, second: str) -> float:
    """Return the normalised indel similarity of two strings, by code points, 0..1."""
    return similarity_of(LCSseq.similarity(first, second), len(first) + len(second))


class Equality:
    """The positions of one state's symbols that each pattern symbol counts as equal to.

    `positions`: pattern symbol -> ascending positions in the state; `masks`: the same as bit sets. With a `threshold`
    above 0 both grow as `admit` meets new pattern symbols; without, they hold the state's own symbols and no others.
    """

    def __init__(self, state: tuple[str, ...], threshold: float) -> None:
        self.state = state
        self.positions: dict[str, list[int]] = {}
        self.masks: dict[str, int] = {}
        self._threshold = threshold
        self._enter(state)

    def admit(self, pattern: tuple[str, ...]) -> None:
        """Make sure that every symbol of `pattern` that counts as equal to one of the state is in the tables."""
        if self._threshold:
            self._enter(pattern)

    def common(self, pattern: tuple[str, ...]) -> int:
        """Return the length of the longest common subsequence of `pattern` and the state.

        Row by row as the textbook table does, a row kept as the bits where it rises (Hyyro 2004).
        """
        self.admit(pattern)
        full = (1 << len(self.state)) - 1
        row = full
        for symbol in pattern:
            hits = row & self.masks.get(symbol, 0)
            row = ((row + hits) | (row - hits)) & full
        return len(self.state) - row.bit_count()

    def shares(self, pattern: tuple[str, ...]) -> bool:
        """Say whether any symbol of `pattern` counts as equal to one of the state."""
        self.admit(pattern)
        return any(self.positions.get(symbol) for symbol in pattern)

    def _enter(self, symbols: tuple[str, ...]) -> None:
        for symbol in symbols:
            if symbol not in self.positions:
                self.positions[symbol] = [j for j, observed in enumerate(self.state) if self._equal(observed, symbol)]
                self.masks[symbol] = sum(1 << j for j in self.positions[symbol])

    def _equal(self, observed: str, expected: str) -> bool:
        if observed == expected:
            return True
        return self._threshold > 0 and text_similarity(observed, expected) >= self._threshold
