"""Power loss, without the power: what was acknowledged stands in bytes that were synced before, seen by system calls.

A killed process loses nothing that the kernel has; so the trace says which bytes of the write-ahead log a loss of
power would have left at each acknowledgement, and the database is cut back to just these.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from kato_service.engine.model import PatternRecord
from kato_service.engine.naming import pattern_name
from kato_service.processor import transfer
from kato_service.stores.sqlite_memory import SqliteMemory
from tests.support.refold import refold
from tests.support.service_process import ServiceProcess
from tests.support.system_calls import end_traced, events, synced_when_acknowledged, traced

CLIENTS = 8
EACH = 6
LOG = "memory.db-wal"
# What only the answers hold that acknowledge a learning, one each, as strace writes it.
LEARNED = (
    r"final_learned_pattern\":\"PTRN|",
    r"auto_learned_pattern\":\"PTRN|",
    r"pattern_name\":\"PTRN|",
    r"status\":\"imported\"",
)
WRITER = """
import asyncio, os, sys
from pathlib import Path
from kato_service.stores.sqlite_database import Database

async def main():
    database = Database(Path(sys.argv[1]), schema="CREATE TABLE t (x);", version=1, synchronous=sys.argv[2])
    for number in range(5):
        await database.run(lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)))
        os.write(1, b"acknowledged")

asyncio.run(main())
os._exit(0)
"""


@dataclass
class Run:
    """The files of a process that was killed after all its clients had been answered, and its trace."""

    data: Path
    trace: Path

    def cut(self, directory: Path, length: int, tail: bytes = b"") -> Path:
        """Return a copy of the memory whose log has only `length` bytes, and then `tail`."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        shutil.copy(self.data / "memory.db", directory)
        (directory / LOG).write_bytes((self.data / LOG).read_bytes()[:length] + tail)
        return directory / "memory.db"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    directory = tmp_path_factory.mktemp("power")
    trace = directory / "trace"
    with ServiceProcess(directory, {"KATO_PROCESSOR_ID": "p1"}, before=traced(trace)).start() as service:
        learn_from_many_clients(service)
        assert service.process is not None
        end_traced(service.process.pid)
        service.process.wait(60)
        yield Run(service.data_dir, trace)


def by_sequence(api: httpx.Client, user: str, first: str, second: str) -> None:
    body = {"observations": [{"strings": [first]}, {"strings": [second]}], "learn_at_end": True}
    api.post(f"{new_session(api, user)}/observe-sequence", json=body).raise_for_status()


def by_learn(api: httpx.Client, user: str, first: str, second: str) -> None:
    path = new_session(api, user)
    for symbol in (first, second):
        api.post(f"{path}/observe", json={"strings": [symbol]}).raise_for_status()
    api.post(f"{path}/learn").raise_for_status()


def by_itself(api: httpx.Client, user: str, first: str, second: str) -> None:
    path = new_session(api, user, max_pattern_length=2)
    for symbol in (first, second):
        api.post(f"{path}/observe", json={"strings": [symbol]}).raise_for_status()


def by_import(api: httpx.Client, user: str, first: str, second: str) -> None:
    events = ((first,), (second,))
    record = PatternRecord(pattern_name(events), events, 1)
    lines = (transfer.head(1, 1), transfer.node_head("other", 1, 0), transfer.pattern_line(record))
    content = b"".join(map(transfer.write, lines))
    content += transfer.write(transfer.end(1, 0, hashlib.sha256(content).hexdigest()))
    api.post("/import", params={"node_id": user, "merge": True}, content=content).raise_for_status()


WAYS = (by_sequence, by_learn, by_itself, by_import)


def new_session(api: httpx.Client, user: str, **config: object) -> str:
    body = {"user_id": user, "config": {"process_predictions": False, **config}}
    return f"/sessions/{api.post('/sessions', json=body).raise_for_status().json()['session_id']}"


def learn_from_many_clients(service: ServiceProcess) -> None:
    def client(number: int) -> None:
        way = WAYS[number // 2 % len(WAYS)]
        with service.client() as api:
            for turn in range(EACH):
                way(api, f"user-{number % 2}", f"c{number}", f"t{turn}")

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))


def learned(memory: Path) -> int:
    """Count the learnings that a database holds; its log is gapless."""
    return sum(base.total() for base in asyncio.run(refold(SqliteMemory(memory))).values())


def acknowledged_bytes(run: Run) -> list[int]:
    happened = list(events(run.trace, *LEARNED))
    after = next(index for index, event in enumerate(happened) if event.kind == "acknowledge")
    # No checkpoint has moved the log into the database: it lies in the log's first bytes, in the order of the writes.
    assert not any(event.file == "memory.db" for event in happened[after:])
    return synced_when_acknowledged(happened, LOG)


def test_every_acknowledgement_comes_after_the_sync_of_what_it_acknowledges(run: Run, tmp_path: Path) -> None:
    for words in LEARNED:
        assert sum(event.kind == "acknowledge" for event in events(run.trace, words)) == CLIENTS * EACH // len(WAYS)
    left = acknowledged_bytes(run)
    assert len(left) == CLIENTS * EACH
    found = [learned(run.cut(tmp_path / "cut", length)) for length in left]
    for number, count in enumerate(found, 1):
        assert count >= number, f"of {number} acknowledged learnings {count} would have outlived a loss of power"
    assert found[-1] == CLIENTS * EACH


def test_a_torn_log_loses_nothing_that_was_acknowledged(run: Run, tmp_path: Path) -> None:
    rng = random.Random(6)  # noqa: S311 - the same tears every time
    left = acknowledged_bytes(run)
    for number in sorted(rng.sample(range(len(left)), 12)):
        torn = rng.randrange(1, 9000)
        whole = (run.data / LOG).read_bytes()[left[number] : left[number] + torn]
        for tail in (whole, bytes(torn), rng.randbytes(torn), whole[: torn // 2] + rng.randbytes(torn)):
            memory = run.cut(tmp_path / "torn", left[number], tail)
            assert learned(memory) >= number + 1


def test_the_service_starts_from_a_torn_log_and_goes_on(
    run: Run, tmp_path: Path, processes: Callable[..., ServiceProcess]
) -> None:
    service = processes(processor_id="p1")
    run.cut(service.data_dir, acknowledged_bytes(run)[-1], b"\xff" * 5000)
    service.start()
    learn_from_many_clients(service)
    with service.client() as api:
        totals = [
            api.get("/symbols/stats", params={"node_id": f"user-{index}"}).json()["totals"]["total_pattern_frequencies"]
            for index in range(2)
        ]
    assert sum(totals) == 2 * CLIENTS * EACH
    assert service.stop() == 0


@pytest.mark.parametrize(("synchronous", "held"), [("FULL", True), ("NORMAL", False)])
def test_the_trace_shows_a_sync_that_is_missing(tmp_path: Path, synchronous: str, held: bool) -> None:
    trace, database = tmp_path / "trace", tmp_path / "test.db"
    subprocess.run([*traced(trace), sys.executable, "-c", WRITER, database, synchronous], check=True)
    happened = list(events(trace, '"acknowledged"'))
    left = synced_when_acknowledged(happened, "test.db-wal")
    assert len(left) == 5
    grew = all(earlier < later for earlier, later in itertools.pairwise(left))
    assert (grew and left[-1] == database.with_name("test.db-wal").stat().st_size) is held
