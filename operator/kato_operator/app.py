"""The composition root of the operator: what is wired to what, and in which order it starts and ends.

Called by `main`. Metrics and health come first; then the lease; then, as the leader, listings, watches and workers.
Whatever of these ends, ends the process: a fresh one begins from the state of the cluster.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import random
import secrets
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from kato_operator.alarm import Alarm
from kato_operator.clock import SystemClock
from kato_operator.cluster.kube import KubeCluster
from kato_operator.cluster.lease import Election, lease_of
from kato_operator.cluster.rest import Rest, connect
from kato_operator.desired.kinds import PROCESSOR
from kato_operator.desired.names import INTERNAL_PORT
from kato_operator.desired.stores import MONGODB_FIELD, REDIS_FIELD, Source, Sources
from kato_operator.handlers.watching import Tell, Watches
from kato_operator.reconcile.cache import Cache
from kato_operator.reconcile.children import Children
from kato_operator.reconcile.feed import Feed
from kato_operator.reconcile.fence import Fence
from kato_operator.reconcile.finalizers import Rights
from kato_operator.reconcile.judge import Judge
from kato_operator.reconcile.observations import Observations
from kato_operator.reconcile.pods import wake_sessions
from kato_operator.reconcile.ports import Cluster, Key, Sessions, StoresPort
from kato_operator.reconcile.processor import ProcessorStory
from kato_operator.reconcile.queue import WorkQueue
from kato_operator.reconcile.rounds import Rounds
from kato_operator.reconcile.secrets import Secrets
from kato_operator.reconcile.session import SessionStory
from kato_operator.reconcile.workers import Workers
from kato_operator.reconcile.world import Policy, World
from kato_operator.sessions.internal import InternalApi
from kato_operator.sessions.purge import Purge
from kato_operator.settings import OperatorSettings
from kato_operator.telemetry.metrics import Telemetry
from kato_operator.telemetry.server import serving
from kato_spec.errors import KatoError

# A watch is old when this many resyncs found no proof that it works.
PROOFS_MISSED = 3
PAUSE_SECONDS = 1.0
# How soon after a watch began anew it is looked for what went before.
CATCH_UP_SECONDS = 2.0
# How long ending what works, giving up the Lease and closing connections may take: less than the kubelet gives a pod.
ENDING_SECONDS = 25.0
# Of what a large fleet keeps in memory hardly anything is cyclic: so it is looked through for cycles less often.
COLLECTION_THRESHOLDS = (20_000, 20, 100)

log = structlog.get_logger()


class Stop:
    """Set by SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.install()

    def install(self) -> None:
        """Take the signals, or take them back from whoever took them since."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._asked.set)

    async def wait(self) -> None:
        """Return when the process is asked to end."""
        await self._asked.wait()


async def run(settings: OperatorSettings) -> int:
    """Run until a signal or a failure; return the exit code: 0, or 1 when a fresh process should take over.

    A leader that cannot look at the time is ended with `alarm.EXIT_CODE` when its lease runs out.
    """
    gc.set_threshold(*COLLECTION_THRESHOLDS)
    stop, clock, cache = Stop(), SystemClock(), Cache()
    alarm = Alarm()
    fence = Fence(clock.monotonic, end_at=alarm.end_at)
    queue = WorkQueue(lambda: random.uniform(0.8, 1.2))  # noqa: S311 - spreads retries, guards nothing
    limit = PROOFS_MISSED * settings.resync_seconds
    telemetry = Telemetry(queue, cache, clock.monotonic, watch_limit=limit)
    async with AsyncExitStack() as stack:
        rest = await stack.enter_async_context(await connect())
        port = await stack.enter_async_context(serving(telemetry, settings.host, settings.port))
        sessions = await stack.enter_async_context(InternalApi(fence, INTERNAL_PORT))
        log.info("serving metrics and health", host=settings.host, port=port)
        cluster = KubeCluster(rest, fence, settings.watch_namespaces, instance=settings.pod_name, wrote=telemetry.wrote)
        leader = Leader(settings, cluster, sessions, Purge(fence), cache, queue, telemetry)
        watches = Watches(rest.credentials, settings.watch_namespaces, stop.install, cluster.may_read)
        lead = leader.lead(watches.run)
        if settings.leader_election:
            return await _elected(_election(settings, rest, fence, clock), alarm, stop, telemetry, lead)
        fence.extend(math.inf)
        return await _leading(stop, telemetry, lead)


def _election(settings: OperatorSettings, rest: Rest, fence: Fence, clock: SystemClock) -> Election:
    """Return this replica's part in the election."""
    lease = lease_of(settings.namespace, settings.lease_name, settings.pod_name, settings.lease_seconds)
    return Election(rest, lease, fence, clock)


async def _elected(
    election: Election, alarm: Alarm, stop: Stop, telemetry: Telemetry, lead: Coroutine[None, None, None]
) -> int:
    """Lead once the lease is won, for as long as it holds; give it away at the end."""
    async with _until_first(stopped=stop.wait(), won=election.win()) as first:
        pass
    if first == "stopped":
        lead.close()
        return 0
    try:
        return await _leading(stop, telemetry, lead, lost=election.hold())
    finally:
        if await election.release():
            alarm.call_off()


async def _leading(
    stop: Stop, telemetry: Telemetry, lead: Coroutine[None, None, None], **others: Coroutine[None, None, None]
) -> int:
    """Lead until a signal, a failure, or one of `others` ends; return the exit code."""
    telemetry.leader = True
    async with _until_first(stopped=stop.wait(), leading=lead, **others) as ended:
        log.info("ending", because=ended)
        _end_within(ENDING_SECONDS)
    telemetry.leader = False
    return 0 if ended == "stopped" else 1


def _end_within(seconds: float) -> None:
    """End the process after that time, whatever still waits: one that neither leads nor ends is replaced by nobody."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


@asynccontextmanager
async def _until_first(**parts: Coroutine[None, None, None]) -> AsyncIterator[str]:
    """Run all parts until one ends, and enter the block with its name. A failure is logged with its trace.

    After the block the others are ended in turn: the lease, which comes last, is held until nothing writes any more.
    """
    tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if error := task.exception():
                log.error("failed", part=task.get_name(), error=str(error), exc_info=error)
        yield min(done, key=lambda task: task.get_name() != "stopped").get_name()
    finally:
        for task in tasks:
            task.cancel()
            await asyncio.wait([task])


class Leader:
    """What the leader does: it takes in the cluster, watches it, and works."""

    def __init__(
        self,
        settings: OperatorSettings,
        cluster: Cluster,
        sessions: Sessions,
        stores: StoresPort,
        cache: Cache,
        queue: WorkQueue,
        telemetry: Telemetry,
    ) -> None:
        self._settings = settings
        clock = SystemClock()
        self._workers = Workers(queue, self._story, clock, limit=settings.workers, observe=telemetry.reconciled)
        add = self._workers.add
        observations = Observations(
            sessions, clock, lambda key, before, seen: wake_sessions(cache, add, key, before, seen)
        )
        policy = Policy(
            service_image=settings.service_image,
            counters_seconds=settings.counters_seconds,
            cleanup_seconds=settings.cleanup_deadline_seconds,
            new_token=lambda: secrets.token_urlsafe(32),
            stores=_stores(settings),
        )
        rights = Rights(cluster, cache, settings.watch_namespaces, settings.role_binding)
        world = World(cluster, sessions, stores, clock, cache, observations, Secrets(cluster, add), rights, add, policy)
        judge = Judge(shared=policy.stores is not None)
        self._processor_story = ProcessorStory(world, judge, Children(world))
        self._session_story = SessionStory(world, judge)
        self._feed = Feed(cache, add, telemetry.proven)
        self._rounds = Rounds(world, self._feed, telemetry.proven)

    async def _story(self, key: Key) -> float | None:
        """Run the story of a key."""
        story = self._processor_story if key.kind == PROCESSOR.name else self._session_story
        return await story(key)

    async def lead(self, watching: Callable[[Tell], Coroutine[None, None, None]]) -> None:
        """Lead until cancelled; raise what fails."""
        await self._rounds.start()
        gc.collect()
        gc.freeze()  # of what is here to stay nothing is looked through again
        async with asyncio.TaskGroup() as group:
            group.create_task(self._workers.run(), name="workers")
            group.create_task(watching(self._feed.event), name="watches")
            group.create_task(_every(self._settings.resync_seconds, self._rounds.resync), name="resync")
            group.create_task(_every(CATCH_UP_SECONDS, self._rounds.catch_up), name="catching up")
            group.create_task(_every(self._settings.sweep_seconds, self._rounds.sweep, at_once=True), name="sweep")
            group.create_task(_every(0, self._rounds.look_at_own_secrets), name="own Secrets")
            group.create_task(_every(0, self._rounds.look_at_store_secrets), name="Secrets of stores")


def _stores(settings: OperatorSettings) -> Sources | None:
    """Return the stores of processors that name none; None: their memory is embedded."""
    if not settings.stores_mongodb_secret:
        return None
    mongodb = (settings.namespace, settings.stores_mongodb_secret, settings.stores_mongodb_key)
    redis = (settings.namespace, settings.stores_redis_secret, settings.stores_redis_key)
    return Sources(Source(MONGODB_FIELD, *mongodb), Source(REDIS_FIELD, *redis))


async def _every(seconds: float, step: Callable[[], Awaitable[None]], *, at_once: bool = False) -> None:
    """Take `step` every so many seconds; what fails for now is left for the next time."""
    if not at_once:
        await asyncio.sleep(seconds)
    while True:
        try:
            await step()
        except KatoError as error:
            log.warning("a round was cut short", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)
        await asyncio.sleep(seconds)
