"""Kopf as a source of watch events, embedded in the operator's own loop.

Run by the composition root while this replica is the leader. `@kopf.on.event` handlers alone: so Kopf adds no
annotation, no finalizer and no write of its own (spec: operator.md, "Level-triggered", "Kopf facts").
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import Any, Final, Protocol

import kopf
import structlog

from kato_operator.desired.kinds import WATCHED, WATCHED_CHILDREN, Kind, Manifest, lean
from kato_operator.desired.names import PROCESSOR_LABEL
from kato_operator.handlers.stateless import NoDiffBase, NoProgress
from kato_operator.reconcile.ports import NotServed
from kato_spec.errors import Transient


class Tell(Protocol):
    """Where events go: the kind, the object, whether it is gone, and whether a listing shows it, not a change."""

    def __call__(self, kind: Kind, manifest: Manifest, *, gone: bool, listed: bool) -> None:
        """Take one event."""
        ...


Credentials = Callable[[], Awaitable[Mapping[str, Any]]]
MayRead = Callable[[str | None], Awaitable[bool]]

log = structlog.get_logger()

STOP_SECONDS: Final = 10
UNREADABLE_SECONDS: Final = 10
# Watches that break off so many times, none of them after it had lasted so long, have failed for good.
TRIES: Final = 5
LASTING_SECONDS: Final = 30
PAUSE_SECONDS: Final = 1
# Without one Kopf asks for the name of the user it runs as, and the user of a pod has none.
IDENTITY: Any = "kato-operator"


class Watches:
    """The watches of some namespaces, or of all of them when `namespaces` is empty.

    `credentials` yields the fields of `kopf.ConnectionInfo`, anew whenever the API server no longer takes the old
    ones; `started` is called when Kopf has taken the process's signals, which are not its to take; `may_read` says
    whether a namespace may be read.
    """

    def __init__(
        self, credentials: Credentials, namespaces: Sequence[str], started: Callable[[], None], may_read: MayRead
    ) -> None:
        self._credentials = credentials
        self._namespaces = namespaces
        self._started = started
        self._may_read = may_read

    async def run(self, tell: Tell) -> None:
        """Hand every event of the watched kinds to `tell`, until cancelled; raise what ends the watches for good."""
        scopes: Sequence[str | None] = self._namespaces or [None]
        async with asyncio.TaskGroup() as group:
            for namespace in scopes:
                group.create_task(self._watch_on(tell, namespace), name=f"watches of {namespace}")

    async def _watch_on(self, tell: Tell, namespace: str | None) -> None:
        """Watch, and begin anew when Kopf gives up, which any answer that it does not expect makes it do.

        A namespace that was deleted, and our rights in it with it, holds up no other.
        """
        tries, readable = 0, True
        while True:
            began = monotonic()
            try:
                before, readable = readable, await self._may_read(namespace)
                if readable:
                    await self._watch(tell, namespace)
                elif before:
                    log.warning("may not be read; watched again when it may", namespace=namespace)
                await asyncio.sleep(UNREADABLE_SECONDS)
            except NotServed:
                raise  # Kopf would not notice when the definitions come back; a process that starts waits for them
            except Exception as error:  # Kopf's own errors are not public
                tries = 1 if monotonic() - began > LASTING_SECONDS else tries + 1
                if tries == TRIES:
                    raise
                log.warning("the watches broke off", namespace=namespace, error=str(error))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _watch(self, tell: Tell, namespace: str | None) -> None:
        """Run Kopf on a namespace, or on all of them, until cancelled; that it ended is a failure."""
        tasks = await kopf.spawn_tasks(
            registry=_registry(tell, self._credentials),
            settings=_settings(),
            identity=IDENTITY,
            standalone=True,
            clusterwide=namespace is None,
            namespaces=[] if namespace is None else [namespace],
        )
        self._started()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            raise Transient("the watches ended")
        finally:
            await _end(tasks)
            await _end([task for task in asyncio.all_tasks() if _is_watcher(task.get_name(), namespace)])


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for them."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_SECONDS)


def _is_watcher(task: str, namespace: str | None) -> bool:
    """Say whether a task is one of Kopf's watches of a namespace.

    When one of them fails, Kopf leaves the others running; the end of the event loop would then cancel them together
    with the helpers that they wait for, and they would wait for ever.
    """
    return task.startswith("watcher for ") and task.endswith(f"@{namespace}")


def _settings() -> kopf.OperatorSettings:
    """Return Kopf's settings: selection by label, timeouts on every connection, nothing posted and nothing kept."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 10
    settings.watching.reconnect_backoff = 1
    # Kopf holds a whole chunk of each kind at once, and the last event of each object for as long as it is idle.
    settings.watching.chunk_size = 100
    settings.queueing.idle_timeout = 0.5
    settings.networking.request_timeout = 30
    for kind in WATCHED_CHILDREN:
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = PROCESSOR_LABEL
    return settings


def _registry(tell: Tell, credentials: Credentials) -> kopf.OperatorRegistry:
    """Return the handlers: how to log in, and one for each watched kind."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - Kopf's protocol
        return kopf.ConnectionInfo(**await credentials())

    for kind in WATCHED:
        _listen(registry, kind, tell)
    return registry


def _listen(registry: kopf.OperatorRegistry, kind: Kind, tell: Tell) -> None:
    """Hand the events of one kind on."""

    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)
    async def seen(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - Kopf's protocol
        manifest: Manifest = {"apiVersion": kind.api_version, "kind": kind.name, **event["object"]}
        tell(kind, lean(manifest), gone=event["type"] == "DELETED", listed=event["type"] is None)
