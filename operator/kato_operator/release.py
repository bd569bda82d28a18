"""Let every processor go: the chart's pre-delete hook, so that nothing hangs on an operator that is gone.

Called by `main` while the operator may still be running: the lease is taken from it first, so that it does not put
back what is taken off, the finalizers of its RoleBindings too. Memory that was to be deleted is left (spec:
operator.md, "Deletion always ends").
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from kato_operator.clock import SystemClock
from kato_operator.cluster.kube import KubeCluster
from kato_operator.cluster.lease import Election, lease_of
from kato_operator.cluster.rest import connect
from kato_operator.desired.kinds import PROCESSOR, Manifest
from kato_operator.reconcile.cache import Cache
from kato_operator.reconcile.fence import Fence
from kato_operator.reconcile.finalizers import Rights, is_held, set_finalizer
from kato_operator.reconcile.ports import Conflict, NotServed
from kato_operator.reconcile.retention import goes_along, retain
from kato_operator.settings import OperatorSettings

# How long the Lease holds once the hook has ended, in seconds: long enough for helm to end the operator.
SEIZED_SECONDS = 30.0

log = structlog.get_logger()


async def release_finalizers(settings: OperatorSettings) -> None:
    """Take our finalizer off every processor of the watched namespaces.

    Raises:
        KatoError: the cluster cannot be reached, or will not take it.
    """
    clock = SystemClock()
    fence = Fence(clock.monotonic)
    async with await connect() as rest:
        cluster = KubeCluster(rest, fence, settings.watch_namespaces)
        if not settings.leader_election:
            fence.extend(math.inf)
            await _release_all(cluster, settings)
            return
        lease = lease_of(settings.namespace, settings.lease_name, settings.pod_name, SEIZED_SECONDS)
        async with _seized(Election(rest, lease, fence, clock)):
            await asyncio.sleep(settings.lease_seconds)  # whoever held it may write until then
            await _release_all(cluster, settings)


@asynccontextmanager
async def _seized(election: Election) -> AsyncIterator[None]:
    """Take the Lease, whoever holds it, and renew it until the block ends: an operator that was ended comes back."""
    await election.seize()
    holding = asyncio.create_task(election.hold())
    try:
        yield
    finally:
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
    await election.seize()  # all of it is left for helm, whatever the renewals met


async def _release_all(cluster: KubeCluster, settings: OperatorSettings) -> None:
    """Take our finalizer off everything, until a look finds it nowhere."""
    while held := await _held(cluster):
        for body in held:
            await _release(cluster, body)
    await Rights(cluster, Cache(), settings.watch_namespaces, settings.role_binding).settle()


async def _held(cluster: KubeCluster) -> list[Manifest]:
    """Return every processor with our finalizer; without the CRDs there is none."""
    try:
        processors = await cluster.listing(PROCESSOR)
    except NotServed:
        return []
    return [body for body in processors if is_held(body)]


async def _release(cluster: KubeCluster, body: Manifest) -> None:
    """Take our finalizer off one processor; one that changed meanwhile has its turn in the next round."""
    metadata = body["metadata"]
    try:
        if not goes_along(body):
            await retain(cluster, metadata["namespace"], metadata["name"])
        await set_finalizer(cluster, PROCESSOR, body, wanted=False)
        log.info("released", processor=metadata["name"], namespace=metadata["namespace"])
    except Conflict:
        log.info("changed meanwhile", processor=metadata["name"], namespace=metadata["namespace"])
