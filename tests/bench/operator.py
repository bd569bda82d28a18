"""Suite `operator`: a fleet of KatoProcessors on a real API server and etcd, beside a bare client that writes the same.

Their storage is external, and their pods are on a node that kwok fakes: what is measured is the operator, and no pod's
start. The peer, in the same run, is a bare aiohttp client that makes the same objects, children, finalizers and one
status for each over 16 connections, and waits for the same pods. For the pods one process answers the operator, which
takes parameters and counts nothing, and nothing speaks to the stores that the Secret names. The peer goes first, and
each begins on a cluster of its own: what the other leaves there would slow it down, even when it is taken away. The
steady state is that of some time after the restart.
KATO_BENCH_PROCESSORS makes the fleet smaller or larger, KATO_BENCH_STEADY the rest.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from time import monotonic, sleep

import psutil

from kato_operator.desired.children import children
from kato_operator.desired.compare import stamped
from kato_operator.desired.kinds import Manifest
from kato_operator.desired.memory import memory_note
from tests.bench.fleet import Fleet, fleet
from tests.bench.kwok import SELECTOR, fake_node
from tests.bench.rows import Row
from tests.support.cluster import parts, start
from tests.support.cluster.local import LocalCluster
from tests.support.eventually import eventually
from tests.support.operator import audit
from tests.support.operator.crds import define
from tests.support.operator.process import OperatorProcess, grant
from tests.support.operator.subjects import subject

SUITE = "operator"
PROCESSORS = int(os.environ.get("KATO_BENCH_PROCESSORS", "1000"))
CHANGES = 300
STEADY_SECONDS = float(os.environ.get("KATO_BENCH_STEADY", "300"))
REST_SECONDS = 30.0
PATIENCE = 1800.0
FLOOR = "bare aiohttp client"
STORES = {"mongodb": {"uriSecretRef": {"name": "stores"}}, "redis": {"urlSecretRef": {"name": "stores"}}}
SPEC = {"deletionPolicy": "Delete", "storage": {"external": STORES}, "nodeSelector": SELECTOR}
URLS = ("--from-literal=uri=mongodb://10.89.0.1:27017", "--from-literal=url=redis://10.89.0.1:6379")
NAMESPACE = "fleet"
NAMES = [f"p{number:05}" for number in range(PROCESSORS)]


@dataclass
class Bench:
    """The cluster, and the operator as a process on one of its namespaces."""

    cluster: LocalCluster
    operator: OperatorProcess
    namespace: str

    def writes(self) -> int:
        """Return how many writes the API server has had from the operator, those without effect included."""
        asked = audit.requests(self.cluster, token=self.operator.token)
        return sum(request.writes and request.resource != "leases" for request in asked)

    def cpu_seconds(self) -> float:
        """Return the CPU time of the operator's process so far."""
        times = self.process().cpu_times()
        return float(times.user + times.system)

    def process(self) -> psutil.Process:
        """Return the operator's process."""
        return psutil.Process(self.operator.pid)

    def peak_memory(self) -> float:
        """Return the most that the operator's process has held so far, in MiB."""
        return peak_memory(self.operator.pid)

    def idle(self) -> bool:
        """Say whether the leader has nothing to do."""
        return self.operator.leads and self.operator.metric("kato_operator_queue_depth") == 0


def peak_memory(pid: int) -> float:
    """Return the most that a process has held so far, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def rows() -> Iterator[Row]:
    """Measure a fleet from its making to its steady state, on a cluster that is raised for it."""
    kwok = parts.program("kwok")
    with bench() as made, fake_node(made.cluster, kwok):
        floor_seconds, floor_writes = asyncio.run(the_floor(made))
    with bench() as made, fake_node(made.cluster, kwok):
        made.operator.start()
        eventually(lambda: made.operator.leads, timeout=60)
        yield from creation(made, floor_seconds, floor_writes)
        yield from restart(made)
        yield from steady_state(made)
        yield from one_change(made)
        yield Row(SUITE, "peak memory of the operator from its restart on", made.peak_memory(), "MiB", goal=300)


@contextmanager
def bench() -> Iterator[Bench]:
    """Raise a cluster whose etcd writes through to the disk, with the CRDs and an operator that is not started yet."""
    cluster = start.up("bench", durable=True)
    try:
        define(cluster)
        cluster.kubectl("create", "namespace", NAMESPACE)
        cluster.kubectl("create", "secret", "generic", "stores", *URLS, "--namespace", NAMESPACE)
        grant(cluster, NAMESPACE)
        with tempfile.TemporaryDirectory() as directory, cluster.entered():
            operator = OperatorProcess(cluster, [NAMESPACE], Path(directory), lease_seconds=10, resync_seconds=300)
            try:
                yield Bench(cluster, operator, NAMESPACE)
            finally:
                operator.stop()
    finally:
        cluster.down()


async def the_floor(made: Bench) -> tuple[float, int]:
    """Make the whole fleet by a bare client and wait for its pods; return the seconds, and the writes for each."""
    async with fleet(made.cluster.kubeconfig, made.namespace) as client, asyncio.timeout(PATIENCE):
        began = monotonic()
        uids: dict[str, str] = {}
        async with asyncio.TaskGroup() as group:
            group.create_task(client.until_available(PROCESSORS))
            await client.each(NAMES, lambda name: begin(client, name, uids))
            await client.each(NAMES, lambda name: complete(client, name, uids[name]))
        return monotonic() - began, len(wanted(NAMES[0], uids[NAMES[0]])) + 2


def wanted(name: str, uid: str) -> list[Manifest]:
    """Return what the operator makes for one processor."""
    about = replace(subject(NAMESPACE, name, **SPEC), uid=uid)
    return [*filter(None, [memory_note(about)]), *children(about, None)]


async def begin(made: Fleet, name: str, uids: dict[str, str]) -> None:
    """Create one processor and note its UID."""
    uids[name] = (await made.create(name, SPEC))["metadata"]["uid"]


async def complete(made: Fleet, name: str, uid: str) -> None:
    """Write what the operator would write for one processor."""
    await made.set_finalizer(name)
    for manifest in wanted(name, uid):
        await made.apply(stamped(manifest))
    await made.write_status(name)


def creation(made: Bench, floor_seconds: float, floor_writes: int) -> Iterator[Row]:
    """Apply all at once and wait until the last one is settled."""
    cpu, began = made.cpu_seconds(), monotonic()
    asyncio.run(make_all(made))
    seconds = monotonic() - began
    name = f"{PROCESSORS:,} processors, external storage: applied at once to all Ready"
    yield Row(SUITE, name, seconds, "s", FLOOR, floor_seconds, 1.25)
    eventually(made.idle, timeout=PATIENCE, interval=1)
    yield Row(SUITE, "writes for one processor", made.writes() / PROCESSORS, "writes", FLOOR, floor_writes)
    reconciles = made.operator.metric("kato_operator_reconciles_total") / PROCESSORS
    yield Row(SUITE, "reconciles of one processor", reconciles, "")
    yield Row(SUITE, "CPU of the operator for one processor", 1000 * (made.cpu_seconds() - cpu) / PROCESSORS, "ms")
    yield Row(SUITE, "peak memory of the operator", made.peak_memory(), "MiB", goal=300)


async def make_all(made: Bench) -> None:
    """Create the fleet and wait until each is Ready."""
    async with (
        fleet(made.cluster.kubeconfig, made.namespace) as client,
        asyncio.timeout(PATIENCE),
        asyncio.TaskGroup() as group,
    ):
        group.create_task(client.until(PROCESSORS, "Ready", "PodsReady"))
        await client.each(NAMES, lambda name: client.create(name, SPEC))


def restart(made: Bench) -> Iterator[Row]:
    """Stop the operator and start it anew: it finds everything as it should be."""
    made.operator.stop()
    before, began = made.writes(), monotonic()
    made.operator.start()
    eventually(lambda: made.operator.metric("kato_operator_reconciles_total") >= PROCESSORS, timeout=PATIENCE)
    eventually(made.idle, timeout=PATIENCE)
    yield Row(SUITE, "restart: process start to all looked at", monotonic() - began, "s")
    yield Row(SUITE, "restart: writes", made.writes() - before, "writes", goal=0)


def steady_state(made: Bench) -> Iterator[Row]:
    """Do nothing for a while, once what came after the restart is over."""
    sleep(REST_SECONDS)
    writes, cpu, began = made.writes(), made.cpu_seconds(), monotonic()
    eventually(lambda: monotonic() - began > STEADY_SECONDS, timeout=2 * STEADY_SECONDS, interval=1)
    share = 100 * (made.cpu_seconds() - cpu) / (monotonic() - began)
    yield Row(SUITE, f"steady state, {STEADY_SECONDS:.0f} s: writes", made.writes() - writes, "writes", goal=0)
    yield Row(SUITE, f"steady state, {STEADY_SECONDS:.0f} s: CPU", share, "% of a core", goal=1)


def one_change(made: Bench) -> Iterator[Row]:
    """Change one processor of the fleet after the other."""
    times = asyncio.run(change_some(made))
    yield Row(SUITE, "one change in the fleet, apply to status, p50", statistics.median(times), "s")
    yield Row(
        SUITE, "one change in the fleet, apply to status, p99", statistics.quantiles(times, n=100)[98], "s", goal=1
    )


async def change_some(made: Bench) -> list[float]:
    """Return how long each change took until its generation stood in the status."""
    async with fleet(made.cluster.kubeconfig, made.namespace) as client:
        return [await client.change(name, number) for number, name in enumerate(islice(cycle(NAMES), CHANGES))]
