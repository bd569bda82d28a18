"""Events, flat symbol lists and pattern names.

Called wherever an observation becomes an event and an STM becomes a pattern; the one place that knows how a name is
made and how the API spells it (engine.md, section 1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from kato_service.engine.model import Event, Events

PATTERN_PREFIX = "PTRN|"


def event_of(strings: Sequence[str], vector_symbols: Sequence[str], sort: bool) -> Event:
    """Make the event of one observation: its strings, then its vector symbols, duplicates kept.

    `sort` (the session's `sort_symbols`) sorts them by code point. Empty when nothing was observed: no event then.
    """
    symbols = (*strings, *vector_symbols)
    return tuple(sorted(symbols)) if sort else symbols


def flatten(events: Iterable[Event]) -> tuple[str, ...]:
    """Return the symbols of `events` in order: the S or the P of engine.md, section 3."""
    return tuple(symbol for event in events for symbol in event)


def pattern_name(events: Events) -> str:
    """Return the bare name: SHA-1, 40 lower-case hex digits, of `events` printed as Python prints lists of lists.

    Python's printing depends on its Unicode tables, so this is called once, when the pattern is learned.
    """
    return hashlib.sha1(str([list(event) for event in events]).encode(), usedforsecurity=False).hexdigest()


def shown_name(name: str) -> str:
    """Return the bare `name` as learn and `GET /pattern/{name}` show it."""
    return PATTERN_PREFIX + name


def bare_name(name: str) -> str:
    """Return the bare name of either spelling."""
    return name.removeprefix(PATTERN_PREFIX)
