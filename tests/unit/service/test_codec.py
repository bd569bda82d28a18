"""How stores write a session: with what they keep beside it, or without."""

from __future__ import annotations

from dataclasses import replace

from kato_service.processor.model import Session
from kato_service.stores import codec

SESSION = Session("p.s", "user", "v.1", 1.5, 2.5, 3.5, 60, stm=(("a", "b"),))
BESIDE = {"version": "v.2", "last_activity": 4.5, "expires_at": 5.5}


def test_what_stands_beside_it_is_not_written_twice() -> None:
    written = codec.dump_session(SESSION, beside=frozenset(BESIDE))
    assert not any(name.encode() in written for name in BESIDE)
    assert codec.load_session(written, **BESIDE) == replace(SESSION, **BESIDE)


def test_what_stands_beside_it_holds_where_it_was_written_too() -> None:
    assert codec.load_session(codec.dump_session(SESSION), **BESIDE) == replace(SESSION, **BESIDE)
    assert codec.load_session(codec.dump_session(SESSION)) == SESSION
