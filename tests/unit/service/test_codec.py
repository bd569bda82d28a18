"""How stores write a session: with what they keep beside it, or without."""

from __future__ import annotations

from dataclasses import replace

from kato_service.processor.model import Session
from kato_service.stores import codec
from kato_service.stores.redis_sessions import _session

SESSION = Session("p.s", "user", "v.1", 1.5, 2.5, 3.5, 60, stm=(("a", "b"),))
BESIDE = {"version": "v.2", "last_activity": 4.5, "expires_at": 5.5}


def test_what_stands_beside_it_is_not_written_twice() -> None:
    written = codec.dump_session(SESSION, beside=frozenset(BESIDE))
    assert not any(name.encode() in written for name in BESIDE)
    assert codec.load_session(written, **BESIDE) == replace(SESSION, **BESIDE)


def test_what_stands_beside_it_holds_where_it_was_written_too() -> None:
    assert codec.load_session(codec.dump_session(SESSION), **BESIDE) == replace(SESSION, **BESIDE)
    assert codec.load_session(codec.dump_session(SESSION)) == SESSION


def test_redis_values_of_earlier_builds_are_read() -> None:
    times = "".join(str(time).ljust(24) for time in (4.5, 5.5))
    body = codec.dump_session(SESSION).decode()
    assert '"pending":null' in body
    assert '"version":"v.1"' in body
    assert _session(f"{times}-v.2\nuser\n{body}".encode()) == replace(SESSION, **BESIDE)
