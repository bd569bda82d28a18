"""Kill the service at random instants under eight writers: nothing acknowledged is lost, nothing counts twice.

The writers remember every acknowledged learn. After each kill the service is started again on the same stores, every
call that was cut off and may be repeated is repeated, and what the service knows is compared with a fold of the log as
it stands in the store: whole patterns, and statistics recounted from them. One node's log stays whole from its first
entry; the others' are folded and compacted under the kills, and what lies behind the last fold is folded here.
`KATO_KILL_SEED` repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from kato_service.processor.knowledge import FOLD_AFTER
from kato_service.stores.sqlite_memory import SqliteMemory
from tests.support import http
from tests.support.eventually import eventually
from tests.support.refold import Base, check, refold, refold_database
from tests.support.service_process import ServiceProcess
from tests.support.stores.replicas import Replicas

WRITERS = 8
FOLDING = 0.1  # of the learnings are followed by a fold, so that kills fall into folds too
PATTERNS = [(("a",), ("b", "c")), (("a",), ("d",), ("a",)), (("e", "e"), ("b",)), (("f", "a"),), (("c",), ("g", "h"))]
JOYS = (0.25, 0.5, 0.75, 1.0)  # of a learning's observations: no sum rounds them, and a window tells their order
MOODS = 11  # values of metadata
WHOLE = "keyed"  # the node whose log nobody asks to be folded: the service does so after 1,000 learnings
Refold = Callable[[], dict[str, Base]]
Record = Callable[[str, object], None]


@dataclass
class Writer:
    """One client. `acknowledged` and `cut_off` count learnings of each pattern since the test began."""

    node: str
    rng: random.Random
    session_id: str = ""
    folding: float = FOLDING
    calls: int = 0
    acknowledged: Counter[int] = field(default_factory=Counter)
    cut_off: Counter[int] = field(default_factory=Counter)
    repeat: Callable[[httpx.Client], None] = lambda _: None

    def open(self, api: httpx.Client) -> None:
        body = {"user_id": self.node, "config": {"process_predictions": False}}
        self.session_id = api.post("/sessions", json=body).raise_for_status().json()["session_id"]

    def work(self, url: str) -> None:
        """Learn, and now and then have the log folded, until the service is gone."""
        with http.Client(base_url=url, timeout=60) as api:
            while True:
                try:
                    self.learn(api)
                    if self.rng.random() < self.folding:
                        api.post(f"/sessions/{self.session_id}/finalize-training").raise_for_status()
                except httpx.TransportError:
                    return

    def learn(self, api: httpx.Client) -> None:
        raise NotImplementedError

    def resume(self, api: httpx.Client) -> None:
        """Repeat what was cut off, where that must not count twice."""
        self.repeat(api)
        self.repeat = lambda _: None


def observations(pattern: int, rng: random.Random) -> list[dict[str, Any]]:
    """Return a pattern's observations, with what tells this learning from others of it."""
    told = {"emotives": {"joy": rng.choice(JOYS)}, "metadata": {"mood": f"m{rng.randrange(MOODS)}"}}
    return [{"strings": event, **told} for event in PATTERNS[pattern]]


class PlainWriter(Writer):
    """Sequences without a key: what was cut off counts once or not at all, and is not repeated."""

    def learn(self, api: httpx.Client) -> None:
        pattern = self.rng.randrange(len(PATTERNS))
        self.cut_off[pattern] += 1
        body = {"observations": observations(pattern, self.rng), "learn_at_end": True}
        api.post(f"/sessions/{self.session_id}/observe-sequence", json=body).raise_for_status()
        self.cut_off[pattern] -= 1
        self.acknowledged[pattern] += 1

    def resume(self, api: httpx.Client) -> None:
        api.post(f"/sessions/{self.session_id}/clear-stm").raise_for_status()


class KeyedWriter(Writer):
    """Sequences with an idempotency key: what was cut off is repeated and counts exactly once."""

    def learn(self, api: httpx.Client) -> None:
        pattern = self.rng.randrange(len(PATTERNS))
        self.calls += 1
        key = {"Idempotency-Key": f"{self.session_id}-{self.calls}"}
        body = {"observations": observations(pattern, self.rng), "learn_at_end": True}

        def call(client: httpx.Client) -> None:
            client.post(f"/sessions/{self.session_id}/observe-sequence", json=body, headers=key).raise_for_status()
            self.acknowledged[pattern] += 1

        self.repeat = call
        call(api)
        self.repeat = lambda _: None


class LearningWriter(Writer):
    """Observe, then learn: a learn that was cut off is repeated without any key and counts exactly once."""

    def learn(self, api: httpx.Client) -> None:
        pattern = self.rng.randrange(len(PATTERNS))
        path = f"/sessions/{self.session_id}"
        self.repeat = self.begin_again
        for body in observations(pattern, self.rng):
            api.post(f"{path}/observe", json=body).raise_for_status()

        def call(client: httpx.Client) -> None:
            answer = client.post(f"{path}/learn")
            # Learned, and the session cleared, before the kill: only the answer was lost.
            assert answer.status_code == 200 or answer.json()["error"]["code"] == "EMPTY_STM", answer.text
            self.acknowledged[pattern] += 1

        self.repeat = call
        call(api)
        self.repeat = lambda _: None

    def begin_again(self, api: httpx.Client) -> None:
        """Drop what was observed before an observation was cut off."""
        api.post(f"/sessions/{self.session_id}/clear-stm").raise_for_status()


def writers(seed: int) -> list[Writer]:
    kinds: list[tuple[type[Writer], str, float]] = [
        (PlainWriter, "plain", FOLDING),
        (KeyedWriter, WHOLE, 0.0),
        (LearningWriter, "learn", FOLDING),
    ]
    rng = random.Random(seed)  # noqa: S311 - a test's choices
    made = []
    for index in range(WRITERS):
        kind, node, folding = kinds[index % 3]
        made.append(kind(node, random.Random(rng.random()), folding=folding))  # noqa: S311 - a test's choices
    return made


def patterns_of(api: httpx.Client, node: str) -> dict[tuple[tuple[str, ...], ...], int]:
    listed = api.get("/patterns", params={"node_id": node, "limit": 1000}).raise_for_status().json()["patterns"]
    return {tuple(map(tuple, each["pattern_data"])): each["frequency"] for each in listed}


def check_counts(crew: list[Writer], found: dict[str, dict[Any, int]]) -> None:
    """Each learning counts once; one that was cut off and not repeated once or not at all, and is then settled."""
    for node in {writer.node for writer in crew}:
        of_node = [writer for writer in crew if writer.node == node]
        for number, events in enumerate(PATTERNS):
            least = sum(writer.acknowledged[number] for writer in of_node)
            most = least + sum(writer.cut_off[number] for writer in of_node)
            frequency = found[node].get(tuple(tuple(sorted(event)) for event in events), 0)
            assert frequency >= least, f"lost: {node} {events}: {frequency}, acknowledged {least}"
            assert frequency <= most, f"counted twice: {node} {events}: {frequency}, at most {most} were asked for"
            of_node[0].acknowledged[number] += frequency - least
            for writer in of_node:
                writer.cut_off[number] = 0


def refold_files(service: ServiceProcess) -> dict[str, Base]:
    """Fold the logs in a copy of the files, so that looking changes nothing."""
    copy = service.directory / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(service.data_dir, copy)
    return asyncio.run(refold(SqliteMemory(copy / "memory.db")))


def total_of(crew: list[Writer]) -> int:
    """Return how many learnings were acknowledged to all of them."""
    return sum(writer.acknowledged.total() for writer in crew)


def one_kill(service: ServiceProcess, crew: list[Writer], delay: float, refolded: Refold) -> None:
    before = total_of(crew)
    with ThreadPoolExecutor(WRITERS) as pool:
        working = [pool.submit(writer.work, service.url) for writer in crew]
        try:
            eventually(lambda: total_of(crew) > before, timeout=60, interval=0.005)
            threading.Event().wait(delay)
        finally:
            service.kill()  # the writers work until then
        for each in working:
            each.result()
    left = refolded()
    service.start()
    with service.client() as api:
        for writer in crew:
            writer.resume(api)
        check_counts(crew, {writer.node: patterns_of(api, writer.node) for writer in crew})
        bases = refolded()
        for node, base in bases.items():
            check(api, node, base)
            assert node not in left or base.follows(left[node])
    # Beyond what the kill left: at most one pending or repeated learning of each writer.
    total, stood = (sum(base.total() for base in each.values()) for each in (bases, left))
    assert stood <= total <= stood + WRITERS


def check_folding(api: httpx.Client, crew: list[Writer], refolded: Refold) -> None:
    """What the service makes of the logs when it folds them away is what they came to."""
    before = refolded()
    for writer in crew:
        api.post(f"/sessions/{writer.session_id}/finalize-training").raise_for_status()
    after = refolded()
    assert sum(len(base.entries) for base in before.values()) > 0
    for node, base in after.items():
        assert (base.start, list(base.entries)) == (before[node].start + len(before[node].entries), [])
        assert base.records == before[node].records
        check(api, node, base)


def run_kills(service: ServiceProcess, kills: int, refolded: Refold) -> str:
    """Kill under writers, and return what was seen in words."""
    seed = int(os.environ.get("KATO_KILL_SEED", str(random.SystemRandom().randrange(2**32))))
    print(f"KATO_KILL_SEED={seed}")  # noqa: T201 - to repeat the run by
    rng = random.Random(seed)  # noqa: S311 - a test's choices
    crew = writers(rng.randrange(2**32))
    service.start()
    with service.client() as api:
        for writer in crew:
            writer.open(api)
    for _ in range(kills):
        one_kill(service, crew, rng.expovariate(1 / 0.15), refolded)
    acknowledged = total_of(crew)
    whole = refolded()[WHOLE]
    assert whole.start == 0 or whole.total() > FOLD_AFTER
    with service.client() as api:
        check_folding(api, crew, refolded)
    assert service.stop() == 0
    return f"{kills} kills, {acknowledged} acknowledged learnings, all there and none twice; KATO_KILL_SEED={seed}"


def kill_on_files(service: ServiceProcess, kills: int) -> str:
    return run_kills(service, kills, lambda: refold_files(service))


def kill_on_shared_stores(replicas: Replicas, kills: int) -> str:
    """Kill one replica of two; the other one has lived through all of it and knows the same."""
    other, service = replicas.start(1)[0], replicas.add()

    def refolded() -> dict[str, Base]:
        return refold_database(replicas.stores.mongo.url, replicas.database)

    seen = run_kills(service, kills, refolded)
    bases = refolded()
    assert bases
    with other.client() as api:
        for node, base in bases.items():
            eventually(lambda: sum(patterns_of(api, node).values()) == base.total(), timeout=60)  # noqa: B023 - called at once
            check(api, node, base)
    return seen


@pytest.mark.timeout(600)
def test_twenty_kills(processes: Callable[..., ServiceProcess], record_property: Record) -> None:
    record_property("survived", kill_on_files(processes(), 20))


@pytest.mark.timeout(900)
def test_twenty_kills_on_redis_and_mongodb(replicas: Replicas, record_property: Record) -> None:
    record_property("survived", kill_on_shared_stores(replicas, 20))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_three_hundred_kills(processes: Callable[..., ServiceProcess], record_property: Record) -> None:
    record_property("survived", kill_on_files(processes(), 300))


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_three_hundred_kills_on_redis_and_mongodb(replicas: Replicas, record_property: Record) -> None:
    record_property("survived", kill_on_shared_stores(replicas, 300))
