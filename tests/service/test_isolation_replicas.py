"""Isolation on shared stores: users, sessions of one user and processors, interleaved over three replicas (service.md).

Every call goes to another replica. Two processors share the Redis and the MongoDB, one of them with the other's users.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from kato_service.engine.model import PatternRecord
from tests.support.eventually import eventually
from tests.support.refold import Base
from tests.support.stores.replicas import Replicas, Stores

STEPS = 120
REPLICAS = 3
Turns = tuple[str, Iterator[httpx.Client]]  # a processor and the replica of the next call


@dataclass
class Subject:
    """A session, the replicas that serve it, and all that may ever be seen through it."""

    turns: Iterator[httpx.Client]
    processor: str
    user: str
    threshold: float
    session_id: str = ""
    stm: list[list[str]] = field(default_factory=list)
    learned: list[PatternRecord] = field(default_factory=list)

    def open(self) -> None:
        config = {"process_predictions": False, "recall_threshold": self.threshold}
        answer = self.api.post("/sessions", json={"user_id": self.user, "config": config}).raise_for_status()
        self.session_id = answer.json()["session_id"]

    @property
    def api(self) -> httpx.Client:
        return next(self.turns)

    @property
    def path(self) -> str:
        return f"/sessions/{self.session_id}"

    def observe(self, symbol: str) -> None:
        self.api.post(f"{self.path}/observe", json={"strings": [symbol]}).raise_for_status()
        self.stm.append([symbol])

    def learn(self) -> str:
        name: str = self.api.post(f"{self.path}/learn").raise_for_status().json()["pattern_name"]
        bare = name.removeprefix("PTRN|")
        self.learned.append(PatternRecord(bare, tuple(map(tuple, self.stm)), 1))
        self.stm = []
        return bare

    def known(self) -> Counter[str]:
        """Return the patterns that the session recalls with their frequencies."""
        body = {"stm": [["x"], ["y"]], "recall_threshold": 0.0, "max_predictions": 10000}
        found = self.api.post(f"{self.path}/predictions", json=body).raise_for_status().json()["predictions"]
        return Counter({each["name"]: each["frequency"] for each in found})

    def has_statistics_of(self, patterns: list[PatternRecord]) -> None:
        """Wait until each replica shows the statistics of `patterns`; of the last it hears by a wake-up."""
        expected = Base(0, (), patterns).statistics()
        for _ in range(REPLICAS):
            eventually(functools.partial(self.shows, self.api, expected), timeout=20)

    def shows(self, api: httpx.Client, expected: dict[str, Any]) -> bool:
        """Say whether a replica shows these statistics of the user."""
        shown = api.get("/symbols/stats", params={"node_id": self.user}).raise_for_status().json()
        return {part: shown[part] for part in expected} == expected


@pytest.fixture(scope="module")
def processors(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Turns]]:
    """Two processors, of three replicas and of one."""
    with ExitStack() as held:
        made: list[Turns] = []
        for count in (REPLICAS, 1):
            replicas = Replicas(tmp_path_factory.mktemp("isolation"), stores)
            held.callback(replicas.close)
            clients = [held.enter_context(each.client()) for each in replicas.start(count)]
            made.append((replicas.processor, itertools.cycle(clients)))
        yield made


@pytest.fixture
def subjects(processors: list[Turns], user: str) -> Iterator[list[Subject]]:
    """Fresh users, two sessions of the one and one of the other on each processor; they go after the test."""
    sessions = ((f"alice-{user}", 0.2), (f"alice-{user}", 0.3), (f"bob-{user}", 0.4))
    made = [Subject(turns, name, of, threshold) for name, turns in processors for of, threshold in sessions]
    for subject in made:
        subject.open()
    yield made
    for subject in made:
        subject.api.delete(subject.path).raise_for_status()


def test_nothing_of_one_is_ever_seen_by_another(subjects: list[Subject]) -> None:
    rng = random.Random(7)  # noqa: S311 - the same steps every time
    learned: dict[tuple[str, str], Counter[str]] = {}
    for _ in range(STEPS):
        subject = rng.choice(subjects)
        knowledge = learned.setdefault((subject.processor, subject.user), Counter())
        if rng.random() < 0.6 or len(subject.stm) < 2:
            subject.observe(f"s{rng.randrange(4)}")
        else:
            knowledge[subject.learn()] += 1
        looked = rng.choice(subjects)
        answer = looked.api.get(f"{looked.path}/stm").raise_for_status().json()
        assert answer["stm"] == looked.stm
        config = looked.api.get(f"{looked.path}/config").raise_for_status().json()["config"]
        assert config["recall_threshold"] == looked.threshold
    for subject in subjects:
        # To learn once more has the replica read up to here: what others have learned before is known with it.
        subject.observe("x")
        subject.observe("y")
        learned.setdefault((subject.processor, subject.user), Counter())[subject.learn()] += 1
    for subject in subjects:
        subject.observe("x")
        subject.observe("z")
        knowledge = learned[subject.processor, subject.user]
        knowledge[subject.learn()] += 1
        assert subject.known() == knowledge
    for subject in subjects:
        of_the_user = [each for each in subjects if (each.processor, each.user) == (subject.processor, subject.user)]
        learnings = {each.name: each for other in of_the_user for each in other.learned}
        counts = learned[subject.processor, subject.user]
        subject.has_statistics_of([replace(learnings[name], frequency=count) for name, count in counts.items()])


def test_a_session_of_one_processor_is_none_of_another(subjects: list[Subject]) -> None:
    first, other = subjects[0], subjects[-1]
    assert first.processor != other.processor
    assert other.api.get(first.path).status_code == 404
    assert first.api.get(other.path).status_code == 404
    for subject in (first, other):
        listed = subject.api.get("/sessions").raise_for_status().json()
        assert listed["total"] == 3
        of_alice = subject.api.get("/sessions", params={"user_id": first.user}).json()
        assert of_alice["total"] == 2


def test_clearing_one_users_memory_leaves_the_others(subjects: list[Subject]) -> None:
    alice, again, bob, *elsewhere = subjects
    for subject in subjects:
        subject.observe("x")
        subject.observe("y")
        subject.learn()
    before = [subject.known() for subject in (bob, *elsewhere)]
    assert all(before)
    alice.api.post(f"{alice.path}/clear-all").raise_for_status()
    assert alice.known() == {}
    again.observe("x")
    again.observe("y")
    name = again.learn()
    assert again.known() == {name: 1}
    assert [subject.known() for subject in (bob, *elsewhere)] == before
