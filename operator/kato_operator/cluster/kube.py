"""The `Cluster` port on a real API server.

Called by `reconcile`; every write goes past the fence, so that one replica alone writes, and is counted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from kato_operator.cluster.rest import APPLY, JSON, MERGE, PATCH, Rest
from kato_operator.desired.kinds import CUSTOM, PROCESSOR, Kind, Manifest, lean
from kato_operator.desired.names import FIELD_MANAGER, PROCESSOR_LABEL
from kato_operator.reconcile.fence import Fence
from kato_operator.reconcile.ports import Conflict, Happening, NotServed, Refused
from kato_spec.errors import Transient

log = structlog.get_logger()

EVENT = Kind("events.k8s.io", "v1", "events", "Event")
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PAGE = "500"
NOTE_MAX = 1024
# What of an object's name stands in that of an Event, which ends at 253 characters.
EVENT_NAME_MAX = 200
NOT_SERVED = "{} are not served; are the CRDs installed?"
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# The version of a store in which nothing was written yet: no object has it.
NO_VERSION = "1"
REPLACED_METADATA = ("resourceVersion", "labels", "annotations", "ownerReferences")
NOT_REPLACED = ("apiVersion", "kind", "metadata", "status")


def path(kind: Kind, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
    """Return the path of objects of `kind`, of one object, or of its subresource."""
    steps = ["", "apis" if kind.group else "api", kind.api_version]
    if namespace is not None:
        steps += ["namespaces", namespace]
    return "/".join([*steps, kind.plural, *filter(None, (name, subresource))])


class KubeCluster:
    """The objects of the watched namespaces (all of them when `namespaces` is empty).

    A namespace that was named and may not be read counts as empty: it was deleted, and the operator's rights with it.
    """

    def __init__(
        self,
        rest: Rest,
        fence: Fence,
        namespaces: Sequence[str],
        *,
        instance: str = "",
        wrote: Callable[[Kind, str], None] = lambda kind, verb: None,
    ) -> None:
        self._rest = rest
        self._fence = fence
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._instance = instance or os.uname().nodename
        self._wrote = wrote
        self._unreadable: set[str | None] = set()

    async def may_read(self, namespace: str | None) -> bool:
        """Say whether the processors of a namespace, or of all of them, may be listed.

        Raises:
            NotServed: the CRDs are not installed.
        """
        try:
            if await self._rest.read(path(PROCESSOR, namespace), {"limit": "1"}, accept=METADATA_ONLY) is None:
                raise NotServed(NOT_SERVED.format(PROCESSOR.plural), retry_after=2)
        except Refused:
            return False
        return True

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """See the port."""
        found = await self._rest.read(path(kind, namespace, name))
        return None if found is None else lean(found)

    async def listing(self, kind: Kind) -> list[Manifest]:
        """See the port."""
        items = await self._everywhere(kind, JSON)
        return [lean({"apiVersion": kind.api_version, "kind": kind.name, **item}) for item in items]

    async def versions(self, kind: Kind) -> dict[tuple[str, str], str]:
        """See the port."""
        found = [item["metadata"] for item in await self._everywhere(kind, METADATA_ONLY)]
        return {(metadata["namespace"], metadata["name"]): metadata["resourceVersion"] for metadata in found}

    async def uids(self, kind: Kind, namespace: str) -> frozenset[str]:
        """See the port."""
        items = await self._page_through(kind, namespace, METADATA_ONLY)
        return frozenset(item["metadata"]["uid"] for item in items)

    async def _everywhere(self, kind: Kind, accept: str) -> list[dict[str, Any]]:
        """Return every item of the watched namespaces, but for those that may not be read."""
        items: list[dict[str, Any]] = []
        for namespace in self._namespaces:
            try:
                items += await self._page_through(kind, namespace, accept)
            except Refused as error:
                if namespace is None:
                    raise
                if namespace not in self._unreadable:
                    log.warning("a watched namespace may not be read", namespace=namespace, error=str(error))
                self._unreadable.add(namespace)
            else:
                self._unreadable.discard(namespace)
        return items

    async def _page_through(self, kind: Kind, namespace: str | None, accept: str) -> list[dict[str, Any]]:
        """Return every item of a listing, page by page."""
        query = {"limit": PAGE} | ({} if kind in CUSTOM else {"labelSelector": PROCESSOR_LABEL})
        items: list[dict[str, Any]] = []
        while True:
            page = await self._rest.read(path(kind, namespace), query, accept=accept)
            if page is None:
                raise NotServed(NOT_SERVED.format(kind.plural), retry_after=2)
            items += page["items"] or ()  # an empty listing of metadata alone has null for its items
            token = page["metadata"].get("continue")
            if not token:
                return items
            query["continue"] = token

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """See the port. An apply at a version that no object ever has makes one, and is a conflict where one is."""
        return await self.apply(kind, {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": NO_VERSION}})

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        """See the port."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._write(kind, "PATCH", _path_of(kind, manifest), manifest, query=query, content_type=APPLY)

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        """See the port."""
        query = {"fieldManager": FIELD_MANAGER}
        body = _replacement(manifest)
        return await self._write(kind, "PATCH", _path_of(kind, manifest), body, query=query, content_type=PATCH)

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        """See the port."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._write(kind, "PUT", _path_of(kind, manifest, "status"), manifest, query=query)

    async def set_finalizers(self, kind: Kind, manifest: Manifest, finalizers: Sequence[str]) -> Manifest:
        """See the port."""
        version = manifest["metadata"]["resourceVersion"]
        body = {"metadata": {"finalizers": list(finalizers), "resourceVersion": version}}
        return await self._write(kind, "PATCH", _path_of(kind, manifest), body, content_type=MERGE)

    async def delete(self, kind: Kind, manifest: Manifest) -> None:
        """See the port."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": manifest["metadata"]["uid"]}}
        try:
            await self._write(kind, "DELETE", _path_of(kind, manifest), body)
        except Transient:
            metadata = manifest["metadata"]
            there = await self.get(kind, metadata["namespace"], metadata["name"])
            if there is not None and there["metadata"]["uid"] == metadata["uid"]:
                raise

    async def announce(self, happening: Happening) -> None:
        """See the port."""
        metadata = happening.about["metadata"]
        event = EVENT.manifest(
            {"name": _event_name(happening), "namespace": metadata["namespace"]},
            eventTime=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            reportingController=f"kato.dev/{FIELD_MANAGER}",
            reportingInstance=self._instance,
            regarding={
                "apiVersion": happening.about["apiVersion"],
                "kind": happening.about["kind"],
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            type=happening.type,
            reason=happening.reason,
            action="Reconcile",
            note=happening.note[:NOTE_MAX],
        )
        try:
            await self._write(EVENT, "POST", path(EVENT, metadata["namespace"]), event)
        except Conflict:
            return  # posted already, by a try that was broken off afterwards

    async def _write(
        self,
        kind: Kind,
        method: str,
        where: str,
        body: Manifest | list[Manifest],
        *,
        query: dict[str, str] | None = None,
        content_type: str = JSON,
    ) -> Manifest:
        """Write past the fence, and end before it closes."""
        left = self._fence.time_left()
        self._wrote(kind, VERBS[method])
        stored = await self._rest.write(method, where, body, query=query, content_type=content_type, time_left=left)
        return lean({"metadata": {}, **stored})


def _event_name(happening: Happening) -> str:
    """Return a name that is the same whenever the same is said of the same version of an object."""
    metadata = happening.about["metadata"]
    said = "\n".join((metadata["uid"], metadata["resourceVersion"], happening.type, happening.reason))
    return f"{metadata['name'][:EVENT_NAME_MAX].rstrip('-.')}.{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def _replacement(manifest: Manifest) -> list[Manifest]:
    """Return `manifest` as a JSON patch: so a replacement needs no right beyond that of the apply before it.

    A resource version that is not the stored one makes it a conflict, as in an update.
    """
    metadata = manifest["metadata"]
    fields = {f"/metadata/{name}": metadata[name] for name in REPLACED_METADATA if name in metadata}
    fields |= {f"/{name}": value for name, value in manifest.items() if name not in NOT_REPLACED}
    return [{"op": "add", "path": path, "value": value} for path, value in fields.items()]


def _path_of(kind: Kind, manifest: Manifest, subresource: str | None = None) -> str:
    """Return the path of the object that `manifest` describes."""
    metadata = manifest["metadata"]
    return path(kind, metadata["namespace"], metadata["name"], subresource)
