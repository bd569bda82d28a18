"""Kill the service at random instants under eight writers: nothing acknowledged is lost, nothing counts twice.

The writers remember every acknowledged learn. After each kill the service is started again on the same files, every
call that was cut off and may be repeated is repeated, and all frequencies and statistics are recounted.
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

from kato_service.engine.model import Learning
from kato_service.processor.ports import MemoryStore
from kato_service.stores.mongo_link import MongoLink
from kato_service.stores.mongo_memory import MongoMemory
from kato_service.stores.sqlite_memory import SqliteMemory
from tests.support import http
from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess
from tests.support.stores.replicas import Replicas
from tests.support.stores.server import PATIENCE

WRITERS = 8
FOLDING = 0.1  # of the learnings are followed by a fold, so that kills fall into folds too
# What each pattern is made of; every observation of it has joy 0.25, which no sum rounds.
PATTERNS = [(("a",), ("b", "c")), (("a",), ("d",), ("a",)), (("e", "e"), ("b",)), (("f", "a"),), (("c",), ("g", "h"))]
JOY = 0.25
Recount = Callable[[], dict[str, Counter[str]]]


@dataclass
class Writer:
    """One client. `acknowledged` and `cut_off` count learnings of each pattern since the test began."""

    node: str
    rng: random.Random
    session_id: str = ""
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
                    if self.rng.random() < FOLDING:
                        api.post(f"/sessions/{self.session_id}/finalize-training").raise_for_status()
                except httpx.TransportError:
                    return

    def learn(self, api: httpx.Client) -> None:
        raise NotImplementedError

    def resume(self, api: httpx.Client) -> None:
        """Repeat what was cut off, where that must not count twice."""
        self.repeat(api)
        self.repeat = lambda _: None


def observations(pattern: int) -> list[dict[str, Any]]:
    return [{"strings": event, "emotives": {"joy": JOY}} for event in PATTERNS[pattern]]


class PlainWriter(Writer):
    """Sequences without a key: what was cut off counts once or not at all, and is not repeated."""

    def learn(self, api: httpx.Client) -> None:
        pattern = self.rng.randrange(len(PATTERNS))
        self.cut_off[pattern] += 1
        body = {"observations": observations(pattern), "learn_at_end": True}
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
        body = {"observations": observations(pattern), "learn_at_end": True}

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
        for body in observations(pattern):
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
    kinds: list[tuple[type[Writer], str]] = [(PlainWriter, "plain"), (KeyedWriter, "keyed"), (LearningWriter, "learn")]
    rng = random.Random(seed)  # noqa: S311 - a test's choices
    made = []
    for index in range(WRITERS):
        kind, node = kinds[index % 3]
        made.append(kind(node, random.Random(rng.random())))  # noqa: S311 - a test's choices
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


def check_statistics(api: httpx.Client, node: str, found: dict[tuple[tuple[str, ...], ...], int]) -> None:
    """The statistics equal a recount from the patterns."""
    stats = api.get("/symbols/stats", params={"node_id": node}).raise_for_status().json()
    frequency: Counter[str] = Counter()
    members: Counter[str] = Counter()
    joy: Counter[str] = Counter()
    for events, count in found.items():
        symbols = Counter(symbol for event in events for symbol in event)
        for symbol, within in symbols.items():
            frequency[symbol] += count * within
            members[symbol] += 1
            joy[symbol] += count
    assert stats["symbols"] == {
        symbol: {
            "frequency": frequency[symbol],
            "pattern_member_frequency": members[symbol],
            "affinity": {"joy": joy[symbol] * JOY},
        }
        for symbol in frequency
    }
    assert stats["totals"] == {
        "total_unique_patterns": len(found),
        "total_pattern_frequencies": sum(found.values()),
        "total_symbol_frequencies": frequency.total(),
        "symbols": len(frequency),
    }


async def refold(store: MemoryStore) -> dict[str, Counter[str]]:
    """Count each pattern's learnings in the store as the kill left it: the folded ones and the log behind."""
    counts: dict[str, Counter[str]] = {}
    for node in await store.nodes():
        snapshot = await store.load(node)
        counts[node] = Counter({each.name: each.frequency async for chunk in snapshot.patterns for each in chunk})
        entries = await store.tail(node, snapshot.seq)
        assert [entry.seq for entry in entries] == list(range(snapshot.seq + 1, snapshot.seq + 1 + len(entries)))
        counts[node].update(
            operation.name for entry in entries for operation in entry.operations if isinstance(operation, Learning)
        )
    await store.close()
    return counts


def recount_files(service: ServiceProcess) -> dict[str, Counter[str]]:
    """Return the counts in a copy of the files, so that looking changes nothing."""
    copy = service.directory / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(service.data_dir, copy)
    return asyncio.run(refold(SqliteMemory(copy / "memory.db")))


def recount_database(uri: str, database: str) -> dict[str, Counter[str]]:
    """Return the counts in a MongoDB database."""

    async def recount() -> dict[str, Counter[str]]:
        return await refold(MongoMemory(MongoLink(uri, database, PATIENCE)))

    return asyncio.run(recount())


def total_of(crew: list[Writer]) -> int:
    """Return how many learnings were acknowledged to all of them."""
    return sum(writer.acknowledged.total() for writer in crew)


def one_kill(service: ServiceProcess, crew: list[Writer], delay: float, recount: Recount) -> None:
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
    in_files = sum(counts.total() for counts in recount().values())
    service.start()
    with service.client() as api:
        for writer in crew:
            writer.resume(api)
        found = {writer.node: patterns_of(api, writer.node) for writer in crew}
        check_counts(crew, found)
        for node, patterns in found.items():
            check_statistics(api, node, patterns)
        total = sum(sum(patterns.values()) for patterns in found.values())
        # Beyond the files: at most one pending or repeated learning of each writer.
        assert in_files <= total <= in_files + WRITERS


def run_kills(service: ServiceProcess, kills: int, recount: Recount) -> None:
    seed = int(os.environ.get("KATO_KILL_SEED", str(random.SystemRandom().randrange(2**32))))
    print(f"KATO_KILL_SEED={seed}")  # noqa: T201 - to repeat the run by
    rng = random.Random(seed)  # noqa: S311 - a test's choices
    crew = writers(rng.randrange(2**32))
    service.start()
    with service.client() as api:
        for writer in crew:
            writer.open(api)
    for _ in range(kills):
        one_kill(service, crew, rng.expovariate(1 / 0.15), recount)
    acknowledged = total_of(crew)
    print(f"{kills} kills, {acknowledged} acknowledged learnings, all there and none twice")  # noqa: T201 - the count
    assert service.stop() == 0


def kill_on_files(service: ServiceProcess, kills: int) -> None:
    run_kills(service, kills, lambda: recount_files(service))


def kill_on_shared_stores(replicas: Replicas, kills: int) -> None:
    """Kill one replica of two; the other one has lived through all of it and knows the same."""
    other, service = replicas.start(1)[0], replicas.add()
    run_kills(service, kills, lambda: recount_database(replicas.stores.mongo.url, replicas.database))
    counts = recount_database(replicas.stores.mongo.url, replicas.database)
    assert counts
    with other.client() as api:
        for node, expected in counts.items():
            eventually(lambda: sorted(patterns_of(api, node).values()) == sorted(expected.values()), timeout=60)  # noqa: B023 - called at once
            check_statistics(api, node, patterns_of(api, node))


@pytest.mark.timeout(600)
def test_twenty_kills(processes: Callable[..., ServiceProcess]) -> None:
    kill_on_files(processes(), 20)


@pytest.mark.timeout(900)
def test_twenty_kills_on_redis_and_mongodb(replicas: Replicas) -> None:
    kill_on_shared_stores(replicas, 20)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_three_hundred_kills(processes: Callable[..., ServiceProcess]) -> None:
    kill_on_files(processes(), 300)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_three_hundred_kills_on_redis_and_mongodb(replicas: Replicas) -> None:
    kill_on_shared_stores(replicas, 300)
