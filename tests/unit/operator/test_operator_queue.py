"""The work queue: one worker a key, nothing forgotten, back-off; and the workers that empty it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kato_operator.clock import SystemClock
from kato_operator.reconcile.ports import Key
from kato_operator.reconcile.queue import LONGEST_BACK_OFF, WorkQueue
from kato_operator.reconcile.workers import Workers
from kato_spec.errors import Transient
from tests.support.eventually import eventually_async

KEYS = [Key("KatoProcessor", "space", name) for name in "abc"]


class Queue(RuleBasedStateMachine):
    """The queue against what it promises: a model that forgets nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = WorkQueue(lambda: 1.0)
        self.now = 0.0
        self.due: dict[Key, float] = {}
        self.working: set[Key] = set()

    @rule(key=st.sampled_from(KEYS), after=st.sampled_from([0.0, 1.0, 5.0]))
    def add(self, key: Key, after: float) -> None:
        self.queue.add(key, self.now + after)
        self.due[key] = min(self.due.get(key, self.now + after), self.now + after)

    @rule()
    def take(self) -> None:
        ready = {key: at for key, at in self.due.items() if at <= self.now and key not in self.working}
        key = self.queue.take(self.now)
        assert (key is None) is (not ready)
        if key is not None:
            assert ready[key] == min(ready.values())
            del self.due[key]
            self.working.add(key)

    @rule(again=st.sampled_from([None, 0.0, 3.0]))
    def done(self, again: float | None) -> None:
        for key in sorted(self.working)[:1]:
            self.working.discard(key)
            again_at = None if again is None else self.now + again
            self.queue.done(key, again_at)
            if again_at is not None:
                self.due[key] = min(self.due.get(key, again_at), again_at)

    @rule()
    def failed(self) -> None:
        for key in sorted(self.working)[:1]:
            self.working.discard(key)
            wait = self.queue.failed(key, self.now)
            assert 0 < wait <= LONGEST_BACK_OFF
            self.due[key] = min(self.due.get(key, self.now + wait), self.now + wait)

    @rule(seconds=st.sampled_from([0.5, 1.0, 10.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def agrees(self) -> None:
        idle = [at for key, at in self.due.items() if key not in self.working]
        assert self.queue.next_due() == min(idle, default=None)
        assert len(self.queue) == len(self.due.keys() | self.working)
        assert self.queue.depth(self.now) == sum(at <= self.now for at in idle)


TestQueue = Queue.TestCase


def test_back_off_grows_to_its_bound_and_ends_with_success() -> None:
    queue = WorkQueue(lambda: 1.0)
    waits = []
    for _ in range(10):
        queue.add(KEYS[0], 0)
        assert queue.take(1e9)
        waits.append(queue.failed(KEYS[0], 0))
    assert waits[:4] == [0.5, 1, 2, 4]
    assert waits[-1] == LONGEST_BACK_OFF
    assert queue.take(1e9)
    queue.done(KEYS[0])
    queue.add(KEYS[0], 0)
    assert queue.take(1e9)
    assert queue.failed(KEYS[0], 0, least=9) == 9


class Stories:
    """Stories that end as the test says; `most` is how many ran at the same time."""

    def __init__(self) -> None:
        self.told: list[Key] = []
        self.running: set[Key] = set()
        self.most = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None
        self.outcomes: list[str] = []

    async def __call__(self, key: Key) -> float | None:
        assert key not in self.running
        self.running.add(key)
        self.most = max(self.most, len(self.running))
        await self.gate.wait()
        self.running.discard(key)
        self.told.append(key)
        if self.error:
            raise self.error
        return None

    def observe(self, key: Key, outcome: str, seconds: float) -> None:
        self.outcomes.append(outcome)


async def start(stories: Stories, limit: int = 2) -> tuple[Workers, asyncio.Task[None]]:
    workers = Workers(WorkQueue(lambda: 0.01), stories, SystemClock(), limit=limit, observe=stories.observe)
    return workers, asyncio.create_task(workers.run())


async def test_one_worker_a_key_and_no_more_than_the_limit() -> None:
    stories = Stories()
    workers, task = await start(stories)
    for key in KEYS * 3:
        workers.add(key)
    await eventually_async(lambda: found(len(stories.running) == 2))
    for key in KEYS:
        workers.add(key)
    stories.gate.set()
    await eventually_async(lambda: found(len(stories.told) >= 5))
    assert stories.most == 2
    task.cancel()


@pytest.mark.parametrize(("error", "outcome"), [(Transient("away"), "transient"), (KeyError("a fault"), "error")])
async def test_a_failure_is_tried_again_and_stops_no_one_else(error: Exception, outcome: str) -> None:
    stories = Stories()
    stories.gate.set()
    stories.error = error
    workers, task = await start(stories)
    workers.add(KEYS[0])
    await eventually_async(lambda: found(stories.told.count(KEYS[0]) >= 2))
    stories.error = None
    workers.add(KEYS[1])
    await eventually_async(lambda: found("ok" in stories.outcomes and KEYS[1] in stories.told))
    assert stories.outcomes[0] == outcome
    task.cancel()


async def found(value: bool) -> bool:
    return value
