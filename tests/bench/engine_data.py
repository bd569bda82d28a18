"""Knowledge and states for the suite `engine`, as matcher.md measured its prototype.

Patterns of 8 events of one or two symbols, 5,000 symbols by Zipf's law with exponent 1.1; a state of 4 events, half of
them taken from a pattern, with an error in three of ten, half made anew.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice

from kato_service.engine.model import Events, PatternRecord
from tests.bench.data import EVENTS, EXPONENT, VOCABULARY

STATE_EVENTS = 4
SYMBOLS = [f"sym{rank:04d}" for rank in range(VOCABULARY)]
WEIGHTS = list(accumulate(1 / (rank + 1) ** EXPONENT for rank in range(VOCABULARY)))


def knowledge(count: int, seed: int = 1) -> Iterator[PatternRecord]:
    """Yield `count` distinct patterns with frequencies that fall by a factor of 0.4, the same for the same `seed`."""
    chance = random.Random(seed)  # noqa: S311 - reproducible data, no secret
    random.Random(7).shuffle(SYMBOLS)  # noqa: S311 - code points and frequency are to be independent
    names = set()
    while len(names) < count:
        sizes = [chance.randint(1, 2) for _ in range(EVENTS)]
        symbols = iter(drawn(chance, sum(sizes)))
        events = tuple(tuple(sorted(islice(symbols, size))) for size in sizes)
        name = hashlib.sha1(str([list(event) for event in events]).encode(), usedforsecurity=False).hexdigest()
        if name not in names:
            names.add(name)
            yield PatternRecord(name, events, min(50, 1 + int(chance.expovariate(0.916))))


def states(records: Sequence[PatternRecord], count: int) -> list[Events]:
    """Return `count` states to ask, the same for the same patterns."""
    chance = random.Random(11)  # noqa: S311 - reproducible data, no secret
    return [taken(chance, records) if number % 2 == 0 else made(chance) for number in range(count)]


def taken(chance: random.Random, records: Sequence[PatternRecord]) -> Events:
    """Cut a state out of a pattern, sometimes with one symbol replaced."""
    start = chance.randint(0, EVENTS - STATE_EVENTS)
    events = [list(event) for event in chance.choice(records).events[start : start + STATE_EVENTS]]
    if chance.random() < 0.3:
        event = chance.choice(events)
        event[chance.randrange(len(event))] = drawn(chance, 1)[0]
    return tuple(tuple(sorted(event)) for event in events)


def made(chance: random.Random) -> Events:
    """Make a state of fresh symbols."""
    return tuple(tuple(sorted(drawn(chance, chance.randint(1, 2)))) for _ in range(STATE_EVENTS))


def drawn(chance: random.Random, count: int) -> list[str]:
    """Draw symbols by Zipf's law."""
    return chance.choices(SYMBOLS, cum_weights=WEIGHTS, k=count)
