"""Of parameters that come by several ways at once, the newest are live."""

from __future__ import annotations

import asyncio
import itertools
from typing import cast

import pytest

from kato_service.processor.errors import StaleGeneration
from kato_service.processor.events import Events
from kato_service.processor.parameters import LiveParameters
from kato_service.processor.ports import SessionStore
from kato_spec.records import ParametersRecord
from tests.support.processors import HeldClock


class Slow:
    """A store that looks at once and answers later, each call in its own time, as one on the network may."""

    def __init__(self) -> None:
        self.record: ParametersRecord | None = None
        self.answers = [asyncio.Event(), asyncio.Event()]
        self._calls = itertools.count()

    async def parameters(self) -> ParametersRecord | None:
        found = self.record
        await self.answers[next(self._calls)].wait()
        return found

    async def save_parameters(self, record: ParametersRecord) -> None:
        self.record = record
        await asyncio.sleep(0)


def live_on(store: Slow) -> LiveParameters:
    return LiveParameters(cast(SessionStore, store), Events(HeldClock()))


def of(generation: int) -> ParametersRecord:
    return ParametersRecord(uid="u", generation=generation, parameters={"recall_threshold": generation / 10})


async def test_what_was_read_before_a_put_does_not_undo_it() -> None:
    store = Slow()
    live = live_on(store)
    await live.put(of(1))
    async with asyncio.TaskGroup() as group:
        group.create_task(live.load())
        await asyncio.sleep(0)
        group.create_task(live.put(of(2)))
        await asyncio.sleep(0.01)
        store.answers[0].set()
    assert live.record == store.record == of(2)
    assert live.resolve({}).recall_threshold == 0.2


async def test_of_two_readings_at_once_the_later_one_counts() -> None:
    store = Slow()
    live = live_on(store)
    store.record = of(1)
    async with asyncio.TaskGroup() as group:
        group.create_task(live.load())
        await asyncio.sleep(0)
        store.record = of(2)
        group.create_task(live.load())
        for answer in reversed(store.answers):
            await asyncio.sleep(0.01)
            answer.set()
    assert live.record == of(2)


async def test_what_is_older_is_refused_when_put_and_passed_over_when_offered() -> None:
    store = Slow()
    live = live_on(store)
    await live.put(of(3))
    with pytest.raises(StaleGeneration):
        await live.put(of(2))
    await live.offer(of(2))
    await live.offer(of(3))
    assert live.record == store.record == of(3)
