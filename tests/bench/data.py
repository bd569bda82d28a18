"""Made-up knowledge of the shape that matcher.md measures: symbols of Zipf's law, patterns of 8 events."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate

VOCABULARY = 5_000
EXPONENT = 1.1
EVENTS = 8


def patterns(count: int, *, seed: int = 1) -> Iterator[list[list[str]]]:
    """Yield `count` patterns of `EVENTS` events, one symbol each, the same ones for the same `seed`."""
    chance = random.Random(seed)  # noqa: S311 - reproducible data, no secret
    symbols = [f"s{rank}" for rank in range(VOCABULARY)]
    weights = list(accumulate(1 / (rank + 1) ** EXPONENT for rank in range(VOCABULARY)))
    for _ in range(count):
        yield [[symbol] for symbol in chance.choices(symbols, cum_weights=weights, k=EVENTS)]
