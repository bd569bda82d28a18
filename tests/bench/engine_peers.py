"""What the fast matcher is measured beside: today's scan, rapidfuzz at its best, difflib, and the floor.

Called by the suite `engine`. Every peer gives the number of patterns that it recalls, so that the suite can see that
all of them answer the same question.
"""

from __future__ import annotations

import difflib
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import LCSseq

from kato_service.engine.model import Events, PatternRecord
from kato_service.engine.naming import flatten

UNKNOWN = "\uffff"
TOP = 100


class Peers:
    """All peers over one KB."""

    def __init__(self, records: Sequence[PatternRecord]) -> None:
        self.records = records
        self.flat = [flatten(record.events) for record in records]
        self.keyed = dict(enumerate(self.flat))
        symbols = sorted({symbol for flat in self.flat for symbol in flat})
        self.letters = {symbol: chr(0x100 + number) for number, symbol in enumerate(symbols)}
        self.texts = ["".join(map(self.letters.__getitem__, flat)) for flat in self.flat]
        self.sizes = np.array([len(flat) for flat in self.flat])
        self.holders = Counter(symbol for flat in self.flat for symbol in set(flat))

    def extract(self, stm: Events, threshold: float) -> int:
        """rapidfuzz's `extract` with a scorer in Python: how KATO 3.x scans."""

        def scorer(first: Sequence[str], second: Sequence[str], **_: object) -> float:
            return 200.0 * LCSseq.similarity(second, first) / (len(first) + len(second))

        cutoff = threshold * 100 - 1e-6
        return len(process.extract(flatten(stm), self.keyed, scorer=scorer, score_cutoff=cutoff, limit=None))

    def cdist(self, stm: Events, threshold: float) -> int:
        """rapidfuzz's `cdist` over patterns written with one character a symbol: all of it in C++."""
        state = "".join(self.letters.get(symbol, UNKNOWN) for symbol in flatten(stm))
        common = process.cdist([state], self.texts, scorer=LCSseq.similarity, dtype=np.uint16, workers=1)[0]
        return int(((2.0 * common / (self.sizes + len(state)) >= threshold) & (common > 0)).sum())

    def difflib(self, stm: Events, threshold: float) -> int:
        """difflib's `ratio`, which is another similarity: its blocks instead of the LCS."""
        matcher = difflib.SequenceMatcher(None, (), flatten(stm), autojunk=False)
        found = 0
        for flat in self.flat:
            matcher.set_seq1(flat)
            found += matcher.ratio() >= threshold
        return found

    def brute(self, stm: Events, threshold: float) -> int:
        """A prediction by rapidfuzz and difflib: recall, blocks, potential and futures of all, then the best.

        Neither the other metrics nor the answer's JSON, which it would need too.
        """
        state = flatten(stm)
        common = ((number, LCSseq.similarity(flat, state)) for number, flat in enumerate(self.flat))
        recalled = [
            (number, found)
            for number, found in common
            if found and 2 * found / (len(self.flat[number]) + len(state)) >= threshold
        ]
        total = sum(self.records[number].frequency for number, _ in recalled)
        futures: Counter[Events] = Counter()
        ranked = []
        for number, found in recalled:
            potential, future = self._potential(number, state, total)
            similarity = 2 * found / (len(self.flat[number]) + len(state))
            futures[future] += self.records[number].frequency * similarity  # type: ignore[assignment] # floats count too
            ranked.append((-potential, self.records[number].name))
        ranked.sort()
        del ranked[TOP:]
        return len(recalled)

    def _potential(self, number: int, state: Sequence[str], total: int) -> tuple[float, Events]:
        record, flat = self.records[number], self.flat[number]
        blocks = difflib.SequenceMatcher(None, flat, state, autojunk=False).get_matching_blocks()[:-1]
        matched = sum(block.size for block in blocks)
        first, last = blocks[0].a, blocks[-1].a + blocks[-1].size - 1
        at, events = 0, []
        for index, event in enumerate(record.events):
            if at <= last and at + len(event) > first:
                events.append(index)
            at += len(event)
        present = flatten(record.events[events[0] : events[-1] + 1])
        extra = len(state) - matched
        snr = (2 * matched - extra) / (2 * matched + extra)
        itfdf = 1.0 - self._distance(state, present) * record.frequency / total
        potential = (matched / len(flat) + matched / len(present)) * snr + itfdf + 1 / len(blocks)
        return potential, record.events[events[-1] + 1 :]

    def _distance(self, state: Iterable[str], present: Iterable[str]) -> float:
        one = {symbol: count * self.holders[symbol] for symbol, count in Counter(state).items()}
        two = {symbol: count * self.holders[symbol] for symbol, count in Counter(present).items()}
        norms = sum(value * value for value in one.values()) * sum(value * value for value in two.values())
        return (
            1.0 - sum(value * two.get(symbol, 0) for symbol, value in one.items()) / math.sqrt(norms) if norms else 1.0
        )


class Floor:
    """The postings as bytes, 4 for each symbol and pattern: nothing that reads them can be faster than a copy."""

    def __init__(self, records: Iterable[PatternRecord]) -> None:
        self.postings: dict[str, array[int]] = {}
        for number, record in enumerate(records):
            for symbol in set(flatten(record.events)):
                self.postings.setdefault(symbol, array("I")).append(number)

    def touch(self, stm: Events) -> int:
        """Copy the postings of a state; returns their bytes."""
        return len(b"".join(self.postings[symbol] for symbol in flatten(stm) if symbol in self.postings))
