"""Where a recalled pattern and the state match: blocks, and what they leave in past, present and future.

Called by `oracle` for every recalled pattern; the metrics count in its result (engine.md, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate

from kato_service.engine.equality import Equality, text_similarity
from kato_service.engine.model import Event, Events
from kato_service.engine.naming import flatten
from kato_service.engine.recall import Recalled, State

Lists = tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A pair of different symbols that counts as equal, with its similarity."""

    observed: str
    expected: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a pattern and the state match. `blocks` is B; `missing` has a list per present event, `extras` per STM event.

    `present_symbols` is `present`, flat.
    """

    blocks: int
    matches: tuple[str, ...]
    past: Events
    present: Events
    future: Events
    present_symbols: tuple[str, ...]
    missing: Lists
    extras: Lists
    anomalies: tuple[Anomaly, ...]


class _Matcher(SequenceMatcher[str]):
    """difflib's matcher with its documented table of the positions in S at which each symbol matches."""

    b2j: dict[str, list[int]]


class Aligner:
    """Aligns patterns with one state: the Ratcliff-Obershelp blocks of (P, S) as difflib finds them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._matcher = _Matcher(None, (), state.symbols, autojunk=False)
        # difflib finds every match through this table alone, so fuzzy pairs come with it.
        self._matcher.b2j = self._equality.positions

    def align(self, found: Recalled) -> Alignment:
        """Align one recalled pattern."""
        pairs, blocks = self._pairs(found.symbols)
        state, pattern = self._state.symbols, found.symbols
        past, present, future = _split(found.record.events, [i for i, _ in pairs])
        present_symbols = flatten(present)
        anomalies = tuple(
            Anomaly(state[j], pattern[i], text_similarity(state[j], pattern[i]))
            for i, j in pairs
            if state[j] != pattern[i]
        )
        matches = tuple(state[j] for _, j in pairs)
        return Alignment(
            blocks=blocks,
            matches=matches,
            past=past,
            present=present,
            future=future,
            present_symbols=present_symbols,
            missing=_without(present, {*matches, *(anomaly.expected for anomaly in anomalies)}),
            extras=_without(self._state.events, {*present_symbols, *(anomaly.observed for anomaly in anomalies)}),
            anomalies=anomalies,
        )

    @property
    def _equality(self) -> Equality:
        return self._state.equality

    def _pairs(self, pattern: tuple[str, ...]) -> tuple[list[tuple[int, int]], int]:
        """Return the matched positions (in P, in S), ascending in both, and the number of blocks."""
        self._equality.admit(pattern)
        self._matcher.set_seq1(pattern)
        blocks = self._matcher.get_matching_blocks()[:-1]
        return [(block.a + k, block.b + k) for block in blocks for k in range(block.size)], len(blocks)


def _split(events: Events, matched: list[int]) -> tuple[Events, Events, Events]:
    """Cut `events` into past, present and future by the ascending flat positions of the matched symbols."""
    if not matched:
        return (), events, ()
    ends = list(accumulate(len(event) for event in events))
    first = next(index for index, end in enumerate(ends) if matched[0] < end)
    after = next(index for index, end in enumerate(ends) if matched[-1] < end) + 1
    return events[:first], events[first:after], events[after:]


def _without(events: Events, symbols: set[str]) -> Lists:
    """Return each event without the symbols that equal one of `symbols`; duplicates of the others stay."""
    return tuple(tuple(symbol for symbol in event if symbol not in symbols) for event in events)
