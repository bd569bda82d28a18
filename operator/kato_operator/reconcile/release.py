"""Takes our finalizers off every processor, so that none of them waits for an operator that is gone.

Called by `kato_operator.release`, and so by the chart's pre-delete hook (spec: operator.md, "Deletion always ends").
"""

from __future__ import annotations

import structlog

from kato_operator.desired.kinds import PROCESSOR
from kato_operator.desired.names import FINALIZER
from kato_operator.reconcile.ports import Cluster, Conflict, NotServed

log = structlog.get_logger()


async def release_finalizers(cluster: Cluster) -> int:
    """Take our finalizer off every processor there is, and return how many had it.

    Memory that was to go with them stays; the next operator puts the finalizers back.

    Raises:
        Transient: the cluster cannot be reached.
    """
    released = 0
    while True:
        try:
            bodies = await cluster.list(PROCESSOR)
        except NotServed:
            return released
        held = [body for body in bodies if FINALIZER in body["metadata"].get("finalizers", ())]
        if not held:
            return released
        for body in held:
            others = [finalizer for finalizer in body["metadata"]["finalizers"] if finalizer != FINALIZER]
            try:
                await cluster.set_finalizers(PROCESSOR, body, others)
            except Conflict as conflict:
                log.info("changed meanwhile, looked at again", reason=str(conflict))
            else:
                released += 1
