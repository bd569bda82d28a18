"""Suite `operator-pods`: what only pods that run can show: a processor's way to Ready, and its declared sessions.

One node, real pods, etcd that syncs to the disk. KATO_BENCH_SESSIONS and KATO_BENCH_RATE (a second) say how many
sessions are declared and how fast, KATO_BENCH_STARTS how many processors are started one after the other. The sessions
are bound at that rate and then all expire within a minute. How long no one answers while a change of the spec replaces
the one pod of an embedded memory is what a client sees that asks every 20 ms through the Service.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime, monotonic, time
from typing import Any

import aiohttp
import psutil

from kato_client import AsyncKatoClient
from kato_operator.desired.kinds import POD, PROCESSOR, SESSION
from kato_operator.status.conditions import find
from tests.bench.fleet import Fleet, fleet
from tests.bench.operator import Bench, bench, peak_memory
from tests.bench.rows import Row
from tests.support.cluster.images import project_images
from tests.support.eventually import eventually

SUITE = "operator-pods"
SESSIONS = int(os.environ.get("KATO_BENCH_SESSIONS", "10000"))
RATE = float(os.environ.get("KATO_BENCH_RATE", "100"))
STARTS = int(os.environ.get("KATO_BENCH_STARTS", "5"))
# Sessions expire within this time, the first of them so long after the last one was bound.
EXPIRY_SECONDS, PAUSE_SECONDS = 60.0, 30.0
PATIENCE = 600.0
SPEC = {"storage": {"embedded": {"ephemeral": True}}}
VOLUME = {"storage": {"embedded": {"size": "1Gi"}}}
# How often a pod is replaced, and how often it is asked meanwhile.
REPLACED, ASKED_SECONDS = 3, 0.02
# The steps of a start, each from the end of the one before it.
STEPS = {
    "made": "the operator and the controllers make the pod",
    "scheduled": "schedule",
    "begun": "sandbox and container",
    "serving": "import and index",
    "ready": "probes",
    "reported": "status",
}


def rows() -> Iterator[Row]:
    """Measure starts and sessions, on a cluster that is raised for it."""
    images = project_images()  # before the cluster's network is entered, which leads to nowhere that wheels come from
    with bench() as made:
        for image in images:
            made.cluster.load(image)
        made.operator.start()
        eventually(lambda: made.operator.leads, timeout=60)
        yield from starts(made)
        yield from gaps(made)
        yield from sessions(made)


def starts(made: Bench) -> Iterator[Row]:
    """Start processors one after the other; the first one, which finds nothing warm, does not count."""
    names = [f"start-{number}" for number in range(STARTS + 1)]
    found = [start(made, name) for name in names][1:]
    whole = statistics.median(sum(steps.values()) for steps in found)
    yield Row(SUITE, "from apply to Ready on a real pod", whole, "s", goal=4)
    for step, called in STEPS.items():
        yield Row(SUITE, f"from apply to Ready: {called}", statistics.median(steps[step] for steps in found), "s")


def start(made: Bench, name: str) -> dict[str, float]:
    """Start one processor; return the seconds of each step."""
    times = asyncio.run(seen_to_start(made, name))
    times["begun"] = begun_at(service(name).pid)
    times["serving"] = serving_since(made.cluster.kubectl("logs", "--namespace", made.namespace, f"deploy/kato-{name}"))
    made.cluster.kubectl("delete", f"kproc/{name}", "--namespace", made.namespace)
    moments = [times["applied"], *(times[step] for step in STEPS)]
    return {step: after - before for step, (before, after) in zip(STEPS, pairwise(moments), strict=True)}


def service(processor: str) -> psutil.Process:
    """Return the process of a processor's one pod."""
    return next(found for found in psutil.process_iter() if found.name() == f"kato-{processor}")


def begun_at(pid: int) -> float:
    """Return when a process began, in seconds since the epoch; psutil knows the second of the boot alone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return time() - clock_gettime(CLOCK_BOOTTIME) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def serving_since(log: str) -> float:
    """Return when a service said that it serves, in seconds since the epoch."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    said = next(line["timestamp"] for line in lines if line["event"] == "serving")
    return datetime.fromisoformat(said).timestamp()


def gaps(made: Bench) -> Iterator[Row]:
    """Replace the one pod of an embedded memory again and again; yield for how long no one answered."""
    asyncio.run(ready(made, "alone", VOLUME))
    url = f"{endpoint(made, 'alone')}/ping"
    found = [asyncio.run(gap(made, "alone", url, turn)) for turn in range(REPLACED)]
    made.cluster.kubectl("delete", "kproc/alone", "--namespace", made.namespace)
    name = "embedded storage: without an answer while the pod is replaced"
    yield Row(SUITE, f"{name}, median of {REPLACED}", statistics.median(found), "s")


def endpoint(made: Bench, processor: str) -> str:
    """Return where a processor answers."""
    found = made.cluster.kubectl("get", f"service/kato-{processor}", "--namespace", made.namespace, "-o", "json")
    return f"http://{json.loads(found)['spec']['clusterIP']}:8000"


async def gap(made: Bench, name: str, url: str, turn: int) -> float:
    """Change the pods' resources; return the longest time between two answers, in seconds."""
    answers: list[float] = []
    before = service(name).pid
    connector = aiohttp.TCPConnector(force_close=True)  # a connection is one to the pod that goes
    async with (
        fleet(made.cluster.kubeconfig, made.namespace) as client,
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=1)) as http,
        asyncio.timeout(PATIENCE),
    ):
        asking = asyncio.create_task(ask_again_and_again(http, url, answers))
        await until(lambda: bool(answers))
        await client.patch(name, {"resources": {"requests": {"memory": f"{65 + turn}Mi"}}})
        await until(lambda: before not in psutil.pids())
        ended = monotonic()
        await until(lambda: answers[-1] > ended)
        asking.cancel()
        await asyncio.wait([asking])
    return max(after - earlier for earlier, after in pairwise(sorted(answers)))


async def ask_again_and_again(http: aiohttp.ClientSession, url: str, answers: list[float]) -> None:
    """Ask every 20 ms, whether or not the question before was answered; note when an answer came."""

    async def ask() -> None:
        try:
            async with http.get(url) as answer:
                if answer.status == HTTPStatus.OK:
                    answers.append(monotonic())
        except (aiohttp.ClientError, TimeoutError):
            return  # no answer: that is what is measured

    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(ask())
            await asyncio.sleep(ASKED_SECONDS)


async def until(met: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not met():  # noqa: ASYNC110 - what is waited for is no event of this process
        await asyncio.sleep(ASKED_SECONDS)


async def seen_to_start(made: Bench, name: str) -> dict[str, float]:
    """Create a processor and return when each thing was first seen of it and of its pod."""
    times: dict[str, float] = {}
    async with fleet(made.cluster.kubeconfig, made.namespace) as client, asyncio.timeout(PATIENCE):
        watching = asyncio.create_task(watch_pods(client, f"kato-{name}-", times))
        times["applied"] = time()
        await client.create(name, SPEC)
        async for processor in client.watch(PROCESSOR):
            if processor["metadata"]["name"] == name and is_true(processor, "Ready"):
                times["reported"] = time()
                break
        await watching
    return times


async def watch_pods(client: Fleet, prefix: str, times: dict[str, float]) -> None:
    """Note when a pod was first seen, scheduled and ready."""
    async for pod in client.watch(POD):
        if not pod["metadata"]["name"].startswith(prefix):
            continue
        times.setdefault("made", time())
        if is_true(pod, "PodScheduled"):
            times.setdefault("scheduled", time())
        if is_true(pod, "Ready"):
            times.setdefault("ready", time())
            return


def is_true(manifest: dict[str, Any], condition: str) -> bool:
    """Say whether a condition holds."""
    found = find(manifest.get("status", {}), condition)
    return found is not None and found["status"] == "True"


@dataclass
class Seen:
    """When sessions were declared, seen to be active and seen to have expired, and when they were to; by name."""

    declared: dict[str, float] = field(default_factory=dict)
    active: dict[str, float] = field(default_factory=dict)
    expired: dict[str, float] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)

    def take(self, session: dict[str, Any]) -> None:
        """Note what a session's status says for the first time."""
        name, status, now = session["metadata"]["name"], session.get("status", {}), time()
        if status.get("phase") == "Active":
            self.active.setdefault(name, now)
        if status.get("phase") == "Expired":
            self.expired.setdefault(name, now)


def sessions(made: Bench) -> Iterator[Row]:
    """Declare sessions at a rate, and let all of them expire."""
    asyncio.run(ready(made, "holder", SPEC))
    cpu = made.cpu_seconds()
    seen = asyncio.run(bind_and_expire(made))
    waits = [seen.active[name] - declared for name, declared in seen.declared.items()]
    bound = len(waits) / (max(seen.active.values()) - min(seen.declared.values()))
    called = f"{SESSIONS:,} sessions declared at {RATE:.0f}/s"
    yield Row(SUITE, f"{called}: bound a second", bound, "1/s")
    yield from spread(f"{called}: declared to Active", waits, 0.5)
    late = [seen.expired[name] - due for name, due in seen.due.items()]
    yield from spread(f"{SESSIONS:,} sessions that expire within a minute: too late by", late, 2.0)
    yield Row(SUITE, f"{SESSIONS:,} sessions: CPU of the operator for one", share(made, cpu), "ms")
    yield Row(SUITE, f"{SESSIONS:,} sessions: peak memory of the operator", made.peak_memory(), "MiB")
    yield Row(SUITE, f"{SESSIONS:,} sessions: peak memory of their pod", peak_memory(service("holder").pid), "MiB")


def spread(called: str, times: Sequence[float], goal: float) -> Iterator[Row]:
    """Yield median, 99th percentile and maximum of seconds; the goal is the percentile's."""
    yield Row(SUITE, f"{called}, p50", statistics.median(times), "s")
    yield Row(SUITE, f"{called}, p99", statistics.quantiles(times, n=100)[98], "s", goal=goal)
    yield Row(SUITE, f"{called}, most", max(times), "s")


def share(made: Bench, before: float) -> float:
    """Return the CPU time of the operator for each session, in milliseconds."""
    return 1000 * (made.cpu_seconds() - before) / SESSIONS


async def ready(made: Bench, name: str, spec: dict[str, Any]) -> None:
    """Create a processor and wait until it is Ready."""
    async with fleet(made.cluster.kubeconfig, made.namespace) as client, asyncio.timeout(PATIENCE):
        await client.create(name, spec)
        await client.until(1, "Ready", "PodsReady")


async def bind_and_expire(made: Bench) -> Seen:
    """Declare the sessions at the rate asked for; return what was seen of them until the last one has expired."""
    seen = Seen()
    url = endpoint(made, "holder")
    async with fleet(made.cluster.kubeconfig, made.namespace) as client, asyncio.TaskGroup() as group:
        watching = group.create_task(watch_sessions(client, seen))
        began = time()
        for number in range(SESSIONS):
            await asyncio.sleep(max(0.0, began + number / RATE - time()))
            group.create_task(declare(client, f"s{number:05}", seen, began, number / SESSIONS))
        await until(lambda: len(seen.active) == SESSIONS)
        seen.due = await expiries(url)
        await watching
    return seen


async def expiries(url: str) -> dict[str, float]:
    """Return when each session expires, by its user, to the fraction of a second, which a status leaves out."""
    async with AsyncKatoClient(url) as client:
        return {
            each["user_id"]: datetime.fromisoformat(each["expires_at"]).timestamp() async for each in client.sessions()
        }


async def declare(client: Fleet, name: str, seen: Seen, began: float, part: float) -> None:
    """Declare a session which expires at its part of the minute of expiries."""
    end = began + SESSIONS / RATE + PAUSE_SECONDS + part * EXPIRY_SECONDS
    seen.declared[name] = time()
    await client.declare(name, "holder", ttlSeconds=round(end - seen.declared[name]))


async def watch_sessions(client: Fleet, seen: Seen) -> None:
    """Note what becomes of the sessions until every one has expired."""
    async with asyncio.timeout(PATIENCE + SESSIONS / RATE):
        async for session in client.watch(SESSION):
            seen.take(session)
            if len(seen.expired) == SESSIONS:
                return
