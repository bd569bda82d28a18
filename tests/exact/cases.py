"""Random KBs of a drawn shape: Hypothesis draws and shrinks the shape, a seeded generator fills it.

Drawing every symbol would take Hypothesis seconds for patterns of 300; a shape shrinks as well, to few short patterns
over a small alphabet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import get_args

from hypothesis import strategies as st

from kato_service.engine import learning
from kato_service.engine.model import Deletion, Event, Events, Merging, Operation, PatternRecord
from kato_service.engine.naming import flatten, pattern_name
from kato_spec.parameters import Parameters, RankMetric

METRICS = get_args(RankMetric)
LETTERS = 'abcé😀 "\\\n'


@dataclass(frozen=True)
class Shape:
    """`alphabet` symbols; up to `patterns` patterns of up to `longest` events of up to `widest` symbols.

    `words` makes similar texts of the symbols, for fuzzy tokens and character mode; `kin` is the chance that a pattern
    continues like an earlier one; `state` the greatest number of events in an STM.
    """

    seed: int
    alphabet: int
    patterns: int
    longest: int
    widest: int
    state: int
    words: bool
    kin: float


shapes = st.builds(
    Shape,
    seed=st.integers(0, 2**32),
    alphabet=st.sampled_from((2, 3, 5, 12, 40, 200, 1000)),
    patterns=st.sampled_from((1, 3, 12, 40)),
    longest=st.sampled_from((1, 3, 6, 12, 40, 100)),
    widest=st.sampled_from((1, 2, 3)),
    state=st.sampled_from((1, 4, 8, 40)),
    words=st.booleans(),
    kin=st.sampled_from((0.0, 0.4, 0.8)),
)


class Case:
    """What a shape is filled with: records to load, operations to apply, states and parameters to ask."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.random = Random(shape.seed)  # noqa: S311 - reproducible data, no secret
        texts = (self._word() if shape.words else f"s{number}" for number in range(shape.alphabet))
        self.alphabet = tuple(texts)
        self.known: list[Events] = []

    def records(self) -> list[PatternRecord]:
        """Return patterns as they stand, one of one symbol among them."""
        found = {}
        for _ in range(self.random.randint(0, self.shape.patterns // 2)):
            events = self._kin()
            name = pattern_name(events)
            found[name] = PatternRecord(
                name,
                events,
                self.random.choice((1, 1, 2, 7, 1000)),
                tuple(self._emotives(self.random.randint(0, 3))),
                {"joy": self.random.randint(-(2**40), 2**40)} if self.random.random() < 0.3 else {},
                {"src": ("a", "b")} if self.random.random() < 0.3 else {},
            )
        return list(found.values())

    def operations(self) -> Iterator[Operation]:
        """Yield learnings, learnings of known patterns again, deletions, and what another KB has learned."""
        for number in range(self.shape.patterns):
            again = self.known and self.random.random() < 0.25
            found = learning.build(
                str(number),
                self.random.choice(self.known) if again else self._kin(),
                emotives=self._emotives(self.random.choice((0, 0, 1, 3))),
                metadata=[{"by": [self.random.choice("xyz")]} for _ in range(self.random.randint(0, 2))],
                persistence=self.random.choice((1, 2, 5)),
            )
            if found is not None:
                yield found
            if self.random.random() < 0.15:
                yield Deletion(f"d{number}", pattern_name(self.random.choice(self.known)))
            if self.random.random() < 0.05:
                yield Merging(f"m{number}", tuple(self.records()[:3]))

    def state(self) -> Events:
        """Return an STM: a part of a known pattern, noise, both, one symbol, none at all, or symbols nobody knows."""
        kind = self.random.random()
        noise = self._events(self.random.randint(0, self.shape.state))
        if kind < 0.1:
            return ((self.random.choice(self.alphabet),),)
        if kind < 0.2:
            return (*noise, ("nobody", "knows"))
        if kind < 0.4 or not self.known:
            return noise
        pattern = self.random.choice(self.known)
        start = self.random.randrange(len(pattern))
        part = pattern[start : start + self.random.randint(1, self.shape.state)]
        return part if kind < 0.7 else (*part, *noise)

    def parameters(self, stm: Events) -> Parameters:
        """Return a session's parameters, the threshold often one that some pattern reaches exactly."""
        choose = self.random.choice
        return Parameters(
            recall_threshold=choose((0.0, 0.1, 0.1, 0.3, 0.6, 1.0, self._boundary(stm))),
            max_predictions=choose((1, 2, 5, 100)),
            use_token_matching=self.random.random() < 0.75,
            fuzzy_token_threshold=choose((0.0, 0.0, 0.0, 0.5, 2 / 3, 0.8, 1.0)),
            rank_sort_algo=choose(("potential", choose(METRICS))),
            affinity_emotive=choose((None, None, "joy", "calm")),
            filter_pipeline=choose((None, None, None, ["length"], ["jaccard"], ["jaccard", "minhash", "length"])),
            length_min_ratio=choose((None, 0.5, 1.0)),
            length_max_ratio=choose((None, 1.0, 2.0)),
            jaccard_threshold=choose((None, 0.25, 0.5)),
            jaccard_min_overlap=choose((None, 1, 2)),
        )

    def _boundary(self, stm: Events) -> float:
        size = len(flatten(stm)) + len(flatten(self.random.choice(self.known or [((),)])))
        return min(1.0, 2 * self.random.randint(1, max(1, size // 2)) / max(2, size))

    def _kin(self) -> Events:
        events = self._events(self.random.randint(1, self.shape.longest))
        if self.known and self.random.random() < self.shape.kin:
            other = self.random.choice(self.known)
            events = (*events[: self.random.randint(0, len(events))], *other[self.random.randrange(len(other)) :])
        self.known.append(events)
        return events

    def _events(self, count: int) -> Events:
        return tuple(self._event() for _ in range(count))

    def _event(self) -> Event:
        symbols = [self.random.choice(self.alphabet) for _ in range(self.random.randint(1, self.shape.widest))]
        return tuple(sorted(symbols) if self.random.random() < 0.8 else symbols)

    def _word(self) -> str:
        return "".join(self.random.choice(LETTERS) for _ in range(self.random.randint(0, 6)))

    def _emotives(self, count: int) -> list[dict[str, float]]:
        return [{name: self.random.uniform(-9, 9) for name in ("joy", "fear")[: i % 3]} for i in range(1, count + 1)]
