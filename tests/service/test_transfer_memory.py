"""A long memory comes in, is kept, read again and goes out through little room: pieces of it are held, never all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess
from tests.support.stores.replicas import Replicas

pytestmark = pytest.mark.timeout(900)
Processes = Callable[..., ServiceProcess]
SYMBOL = "x" * 900  # kept once by the index, written once an event by the file
EVENTS, PATTERNS = 50, 2400
GROWTH = 24 * 2**20  # bytes of an export; the file is more than four times as long
HELD = 64 * 2**20  # bytes of an import or a start, the index with them


def lines(node: str) -> Iterator[bytes]:
    """An export of patterns that are long as text and short in memory, a chunk for each."""
    digest = hashlib.sha256()
    heads = ({"kato_memory": 1, "nodes": 1, "patterns": PATTERNS}, {"node": node, "patterns": PATTERNS, "vectors": 0})
    patterns = (
        {"pattern": f"{number:040x}", "events": [[SYMBOL]] * EVENTS, "frequency": 1} for number in range(PATTERNS)
    )
    for line in (*heads, *patterns):
        text = json.dumps(line).encode() + b"\n"
        digest.update(text)
        yield text
    end = {"end": {"patterns": PATTERNS, "vectors": 0, "sha256": digest.hexdigest()}}
    yield json.dumps(end).encode() + b"\n"


class Peak:
    """The most memory that a process has had resident, in bytes, since it was `forgotten`."""

    def __init__(self, pid: int) -> None:
        self._process = Path(f"/proc/{pid}")

    @classmethod
    def of(cls, service: ServiceProcess) -> Self:
        assert service.process is not None
        return cls(service.process.pid)

    def forget(self) -> int:
        (self._process / "clear_refs").write_text("5")
        return self.read()

    def read(self) -> int:
        status = (self._process / "status").read_text().splitlines()
        (line,) = (line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


def exported(api: httpx.Client) -> tuple[int, int]:
    """Return the bytes and the lines of the whole memory's export."""
    with api.stream("GET", "/export") as answer:
        counts = [(len(chunk), chunk.count(b"\n")) for chunk in answer.iter_bytes()]
    return sum(size for size, _ in counts), sum(ends for _, ends in counts)


def imported(api: httpx.Client) -> None:
    api.timeout = httpx.Timeout(300)
    answer = api.post("/import", content=lines("long")).raise_for_status().json()
    assert answer["patterns"] == PATTERNS


def test_a_long_import_and_the_start_after_it_need_little_room(on_each_store: ServiceProcess) -> None:
    with on_each_store.start() as service:
        before = Peak.of(service).forget()
        with service.client() as api:
            imported(api)
        assert Peak.of(service).read() - before < HELD
        service.stop()
        service.start()
        assert Peak.of(service).read() - before < HELD
        with service.client() as api:
            assert exported(api)[1] == PATTERNS + 3


def test_a_replica_that_hears_of_a_long_import_needs_little_room(replicas: Replicas) -> None:
    with replicas.add().start() as one, replicas.add().start() as other, one.client() as api:
        before = Peak.of(other).forget()
        imported(api)
        with other.client() as asked:
            eventually(lambda: exported(asked)[1] == PATTERNS + 3, timeout=180)
        assert Peak.of(other).read() - before < HELD


def test_a_long_export_needs_little_room(processes: Processes) -> None:
    with processes().start() as service, service.client() as api:
        imported(api)
        peak = Peak.of(service)
        before = peak.forget()
        size, ends = exported(api)
        assert ends == PATTERNS + 3
        assert size > 4 * GROWTH
        assert peak.read() - before < GROWTH
