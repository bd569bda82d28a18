"""A bare client of the API server: plain JSON over a few connections, nothing compared.

Called by `operator`, for the floor that the operator is measured against and for what users do.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import yaml

from kato_operator.cluster.kube import path
from kato_operator.desired.kinds import BY_NAME, DEPLOYMENT, PROCESSOR, SESSION, Kind
from kato_operator.desired.names import FINALIZER

CONNECTIONS = 16
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STATUS = {"observedGeneration": 1, "replicas": 0, "readyReplicas": 0}

Json = dict[str, Any]


class Fleet:
    """The processors of one namespace."""

    def __init__(self, http: aiohttp.ClientSession, server: str, namespace: str) -> None:
        self._http, self._server, self._namespace = http, server, namespace

    async def each(self, names: Sequence[str], step: Callable[[str], Awaitable[object]]) -> None:
        """Take a step for every name, as many at a time as there are connections."""
        waiting = iter(names)

        async def work() -> None:
            for name in waiting:
                await step(name)

        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))

    async def create(self, name: str, spec: Json) -> Json:
        """Create a processor, as a user does; return it as it is stored."""
        metadata = {"name": name, "namespace": self._namespace}
        return await self._ask("POST", path(PROCESSOR, self._namespace), PROCESSOR.manifest(metadata, spec=spec))

    async def declare(self, name: str, processor: str, **spec: object) -> None:
        """Create a session, as a user does."""
        metadata = {"name": name, "namespace": self._namespace}
        about = {"processorRef": {"name": processor}} | spec
        await self._ask("POST", path(SESSION, self._namespace), SESSION.manifest(metadata, spec=about))

    async def watch(self, kind: Kind) -> AsyncIterator[Json]:
        """Yield every object of a kind as it is now, and then whenever it changes, for as long as someone asks."""
        query = "?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._http.get(self._server + path(kind, self._namespace) + query, timeout=timeout) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] in ("ADDED", "MODIFIED"):
                    yield event["object"]

    async def apply(self, manifest: Json) -> None:
        """Apply a child."""
        kind, name = BY_NAME[manifest["kind"]], manifest["metadata"]["name"]
        query = "?fieldManager=floor&force=true"
        await self._ask("PATCH", path(kind, self._namespace, name) + query, manifest, APPLY)

    async def set_finalizer(self, name: str) -> None:
        """Put a finalizer on a processor."""
        await self._ask("PATCH", self._path(name), {"metadata": {"finalizers": [FINALIZER]}}, MERGE)

    async def write_status(self, name: str) -> None:
        """Write a processor's status."""
        await self._ask("PATCH", f"{self._path(name)}/status", {"status": STATUS}, MERGE)

    async def until(self, count: int, condition: str, reason: str) -> None:
        """Wait until so many processors have a condition for a reason."""
        await self._until(PROCESSOR, lambda item: _reason(item, condition) == reason, count)

    async def until_available(self, count: int) -> None:
        """Wait until so many Deployments have a pod that is ready."""
        await self._until(DEPLOYMENT, lambda item: item.get("status", {}).get("readyReplicas", 0) > 0, count)

    async def _until(self, kind: Kind, met: Callable[[Json], bool], count: int) -> None:
        """Wait until so many objects meet a condition; a watch is little work for the API server, listings are not."""
        meeting: set[str] = set()
        async for item in self.watch(kind):
            (meeting.add if met(item) else meeting.discard)(item["metadata"]["name"])
            if len(meeting) >= count:
                return
        raise RuntimeError(f"the watch of {kind.name}s ended at {len(meeting)} of {count}")

    async def patch(self, name: str, spec: Json) -> Json:
        """Change a processor's spec, as a user does; return it as it is stored."""
        return await self._ask("PATCH", self._path(name), {"spec": spec}, MERGE)

    async def change(self, name: str, number: int) -> float:
        """Change a parameter and the port; return after how many seconds the status was of the new generation."""
        began = monotonic()
        changed = await self.patch(name, {"parameters": {"maxPredictions": 7}, "port": 9000 + number})
        wanted = changed["metadata"]["generation"]
        while (await self._ask("GET", self._path(name))).get("status", {}).get("observedGeneration") != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        return monotonic() - began

    def _path(self, name: str) -> str:
        return path(PROCESSOR, self._namespace, name)

    async def _ask(self, method: str, where: str, body: Json | None = None, kind: str = "application/json") -> Json:
        """Return the answer of one request that succeeds."""
        headers = {"Content-Type": kind}
        async with self._http.request(method, self._server + where, json=body, headers=headers) as answer:
            found: Json = await answer.json(content_type=None)
            if answer.status >= 400:
                raise RuntimeError(f"{method} {where}: {answer.status} {found.get('message')}")
            return found


def _reason(item: Json, condition: str) -> str:
    """Return the reason of a processor's condition, an empty one while it has none."""
    known = item.get("status", {}).get("conditions", ())
    return next((str(found["reason"]) for found in known if found["type"] == condition), "")


@asynccontextmanager
async def fleet(kubeconfig: Path, namespace: str) -> AsyncIterator[Fleet]:
    """Connect to the API server of a kubeconfig, as its user."""
    config = yaml.safe_load(kubeconfig.read_text())  # noqa: ASYNC240 - before anything is measured
    cluster, token = config["clusters"][0]["cluster"], config["users"][0]["user"]["token"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    # One more connection, for a watch.
    connector = aiohttp.TCPConnector(limit=CONNECTIONS + 1, ssl=ssl.create_default_context(cadata=authority))
    headers = {"Authorization": f"Bearer {token}"}
    # A line of a watch is as long as its object.
    async with aiohttp.ClientSession(connector=connector, headers=headers, read_bufsize=2**21) as http:
        yield Fleet(http, cluster["server"], namespace)
