"""Our finalizer: on the processors whose memory goes with them, and on what gives the operator the right to remove it.

Used by the stories, and by the hook that lets processors go. A namespace that is deleted takes its RoleBindings with
it at once, and a processor that waits for an operator without rights would wait for ever; so the RoleBinding bears our
finalizer for as long as a processor beside it does (spec: operator.md, "Deletion always ends").
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kato_operator.desired.kinds import PROCESSOR, ROLE_BINDING, Kind, Manifest
from kato_operator.desired.names import FINALIZER
from kato_operator.reconcile.cache import Cache
from kato_operator.reconcile.ports import Cluster, Refused


def is_held(body: Manifest) -> bool:
    """Say whether an object bears our finalizer."""
    return FINALIZER in body["metadata"].get("finalizers", ())


async def set_finalizer(cluster: Cluster, kind: Kind, body: Manifest, *, wanted: bool) -> Manifest | None:
    """Put our finalizer on an object, or take it off; return what is stored, or None where it was so already.

    Raises:
        Conflict: the object changed since `body` was read.
    """
    if is_held(body) is wanted:
        return None
    others = [finalizer for finalizer in body["metadata"].get("finalizers", ()) if finalizer != FINALIZER]
    return await cluster.set_finalizers(kind, body, [*others, FINALIZER] if wanted else others)


class Rights:
    """The RoleBinding named `binding` in each of `namespaces`; without a name there is none that a namespace takes."""

    def __init__(self, cluster: Cluster, cache: Cache, namespaces: Sequence[str] = (), binding: str = "") -> None:
        self._cluster, self._cache = cluster, cache
        self._namespaces, self._binding = namespaces if binding else (), binding
        self._kept: set[str] = set()
        self._turn = asyncio.Lock()

    async def keep(self, namespace: str) -> None:
        """Have our rights in a namespace outlast the processor there that bears our finalizer, or is about to."""
        if namespace in self._namespaces and namespace not in self._kept:
            await self._settle(namespace, coming=True)

    async def let_go(self, namespace: str) -> None:
        """Keep the namespace's RoleBinding no longer, unless another processor there bears our finalizer."""
        if namespace in self._kept:
            await self._settle(namespace)

    async def settle(self) -> None:
        """Look at every namespace, whatever is remembered of it."""
        for namespace in self._namespaces:
            await self._settle(namespace)

    def _is_needed(self, namespace: str) -> bool:
        """Say whether a processor of a namespace bears our finalizer."""
        processors = self._cache.all(PROCESSOR)
        return any(is_held(body) for body in processors if body["metadata"]["namespace"] == namespace)

    async def _settle(self, namespace: str, *, coming: bool = False) -> None:
        """Bring one RoleBinding to what the processors beside it ask for, one that is `coming` too."""
        async with self._turn:
            wanted = coming or self._is_needed(namespace)
            try:
                body = await self._cluster.get(ROLE_BINDING, namespace, self._binding)
            except Refused:
                body = None  # the namespace is gone, or our rights in it are
            kept = body is not None and (is_held(body) or not body["metadata"].get("deletionTimestamp"))
            if body is not None and kept:
                await set_finalizer(self._cluster, ROLE_BINDING, body, wanted=wanted)
            if wanted and kept:
                self._kept.add(namespace)
            else:
                self._kept.discard(namespace)
