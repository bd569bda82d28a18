"""`kato-operator release-finalizers`: the last act of an installation, run by the chart's pre-delete hook.

The operator is scaled to nothing and its Lease taken over first: one that still runs would put the finalizers back,
and two must never write at the same time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from kato_operator.clock import SystemClock
from kato_operator.cluster.kube import KubeCluster, path
from kato_operator.cluster.lease import Election, LeaseName
from kato_operator.cluster.rest import MERGE, Rest, connect
from kato_operator.desired.kinds import DEPLOYMENT
from kato_operator.reconcile.fence import Fence
from kato_operator.reconcile.release import release_finalizers
from kato_operator.settings import OperatorSettings
from kato_spec.errors import Transient

log = structlog.get_logger()


async def release(settings: OperatorSettings, deployment: str) -> None:
    """Stop the operator that runs as `deployment` and take its finalizers off.

    Raises:
        Transient: the cluster cannot be reached.
    """
    clock = SystemClock()
    fence = Fence(clock.monotonic)
    async with await connect() as rest:
        await _stop(rest, settings.namespace, deployment)
        lease = LeaseName(settings.namespace, settings.lease_name, settings.pod_name, settings.lease_seconds)
        election = Election(rest, lease, fence, clock)
        await election.win()
        holding = asyncio.create_task(election.hold())
        try:
            released = await release_finalizers(KubeCluster(rest, fence, settings.watch_namespaces))
        finally:
            holding.cancel()
            with suppress(asyncio.CancelledError):
                await holding
            await election.release()
    log.info("finalizers released", processors=released)


async def _stop(rest: Rest, namespace: str, deployment: str) -> None:
    """Scale the operator to nothing. Where that fails, the Lease alone says when it has ended."""
    try:
        await rest.write(
            "PATCH", path(DEPLOYMENT, namespace, deployment), {"spec": {"replicas": 0}}, content_type=MERGE
        )
    except Transient as error:
        log.warning("the operator is not scaled down", reason=str(error))
