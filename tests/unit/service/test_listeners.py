"""Listeners hear in order, never hold anyone up, and replicas hear of each other."""

from __future__ import annotations

from kato_service.processor.events import WAITING, Event, Events
from tests.support.processors import HeldClock


async def test_who_falls_behind_is_told_and_dropped() -> None:
    events = Events(HeldClock())
    with events.listening() as slow, events.listening() as quick:
        for index in range(WAITING + 5):
            events.publish("session.created", {"index": index})
            heard = await quick.next()
            assert heard is not None
            assert heard.data["index"] == index
        found = [await slow.next() for _ in range(WAITING + 1)]
    assert [event.data["index"] for event in found if event] == list(range(WAITING))
    assert found[-1] is None
    assert events.listeners == 0


async def test_replicas_hear_of_what_only_one_knows() -> None:
    here, there = Events(HeldClock()), Events(HeldClock())
    passed: list[Event] = []
    here.relay = passed.append
    with there.listening() as listener:
        here.publish("session.destroyed", {"session_id": "s"})
        here.publish_here("pattern.learned", {"pattern_name": "p"})
        for event in passed:
            there.deliver(event)
        heard = await listener.next()
    assert heard is not None
    assert (heard.kind, len(passed)) == ("session.destroyed", 1)
