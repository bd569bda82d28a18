"""What clients were told was learned, beside what a processor knows: no acknowledged event or pattern may be missing.

Called by the tests that disturb a stream. The programs of tests/e2e report each acknowledged learning as the name that
they were told and the events whose observing had been acknowledged before it; each symbol is observed once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

Events = list[list[str]]
# Of each pattern by its name: its events, and how often it was learned.
Patterns = dict[str, tuple[Events, int]]


def acknowledged(learnings: Iterable[dict[str, Any]]) -> Patterns:
    """Return the patterns that must be known: those of the clients' own events, each learned once.

    Raises:
        AssertionError: a learning was acknowledged by another name than its events have: some of them were lost.
    """
    made: Patterns = {}
    for learning in learnings:
        name = name_of(learning["events"])
        assert learning["name"] == name, f"learned as {learning['name']}: {learning['events']}"
        made[name] = (learning["events"], 1)
    return made


def name_of(events: Events) -> str:
    """Return the name that the events of a pattern have (engine.md, section 1)."""
    return "PTRN|" + hashlib.sha1(str(events).encode(), usedforsecurity=False).hexdigest()


def known(read: Callable[[str], Any], user: str) -> Patterns:
    """Return all patterns of a user; `read` returns the answer to a GET of a path."""
    found: Patterns = {}
    cursor = ""
    while True:
        page = read(f"/patterns?node_id={user}&limit=1000{cursor}")
        found |= {one["name"]: (one["pattern_data"], one["frequency"]) for one in page["patterns"]}
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"
