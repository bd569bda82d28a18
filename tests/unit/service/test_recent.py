"""The sessions that a store remembers: within their bound, and never older than what the file holds."""

from __future__ import annotations

from kato_service.processor.model import Session
from kato_service.stores.recent import MEMORY, RecentSessions


def session(name: str, version: str = "v1") -> Session:
    return Session(name, "alice", version, 0.0, 0.0, 60.0, 60)


def put(recent: RecentSessions, found: Session, size: int) -> None:
    with recent.access(found.id) as keep:
        keep(found, size)


def test_the_longest_unused_go_first_when_the_bound_is_reached() -> None:
    recent = RecentSessions(max_bytes=100 * MEMORY)
    for name in "abc":
        put(recent, session(name), 30)
    recent.get("a")
    put(recent, session("d"), 30)
    assert [name for name in "abcd" if recent.get(name)] == ["a", "c", "d"]
    put(recent, session("large"), 101)
    assert [name for name in ("a", "c", "d", "large") if recent.get(name)] == ["a", "c", "d"]


def test_what_an_earlier_access_saw_is_not_kept() -> None:
    recent = RecentSessions()
    with recent.access("a") as keep_read:
        with recent.access("a") as keep_written:
            keep_written(session("a", "v2"), 1)
        keep_read(session("a", "v1"), 1)
    found = recent.get("a")
    assert found is not None
    assert found.version == "v2"


def test_a_write_whose_end_is_not_known_leaves_nothing_behind() -> None:
    recent = RecentSessions()
    put(recent, session("a"), 1)
    with recent.access("a") as keep_read:
        with recent.access("a"):
            pass
        keep_read(session("a"), 1)
    assert recent.get("a") is None
