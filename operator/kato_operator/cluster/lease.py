"""Leader election by a Lease: of all replicas of the operator, one writes.

Run by the composition root. The holder extends the fence by the time at which it *asked* for the renewal, on its own
monotonic clock, so that it stops before anyone else may begin; the others time the holder's silence by their own
clocks, so that no two clocks need agree (spec: operator.md, "One writer").
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import structlog

from kato_operator.cluster.kube import path
from kato_operator.cluster.rest import Rest
from kato_operator.desired.kinds import Kind, Manifest
from kato_operator.reconcile.fence import Fence, NotLeader
from kato_operator.reconcile.ports import Clock, Conflict
from kato_spec.errors import Transient

LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LeaseName:
    """Which Lease, and who asks for it; `seconds` is how long it holds after the last renewal."""

    namespace: str
    name: str
    holder: str
    seconds: float


def lease_of(namespace: str, name: str, pod: str, seconds: float) -> LeaseName:
    """Return the Lease as a process of `pod` asks for it, under a name that no other process ever had."""
    return LeaseName(namespace, name, f"{pod}_{uuid4().hex[:8]}", seconds)


class Election:
    """One replica's part in the election."""

    def __init__(self, rest: Rest, lease: LeaseName, fence: Fence, clock: Clock) -> None:
        self._rest = rest
        self._lease = lease
        self._fence = fence
        self._clock = clock
        self._seen: tuple[str, float] | None = None

    @property
    def retry_seconds(self) -> float:
        """How long after a try the next one begins, as holder or not."""
        return self._lease.seconds / 5

    async def win(self) -> None:
        """Return when this replica holds the Lease."""
        log.info("waiting for the lease", lease=self._lease.name, holder=self._lease.holder)
        while not await self._try(self._take):  # noqa: ASYNC110 - the API server sets no event
            await asyncio.sleep(self.retry_seconds)
        log.info("this replica is the leader", lease=self._lease.name)

    async def seize(self) -> None:
        """Take the Lease from whoever holds it; that one may still write until its own deadline."""
        while not await self._try(lambda: self._take(by_force=True)):  # noqa: ASYNC110 - as above
            await asyncio.sleep(1)
        log.info("the lease was taken from its holder", lease=self._lease.name)

    async def hold(self) -> None:
        """Renew until the Lease is lost.

        Raises:
            NotLeader: someone else holds it, or it ran out without a renewal.
        """
        pause = self.retry_seconds
        while True:
            await asyncio.sleep(min(pause, self._fence.time_left()))
            began = self._clock.monotonic()
            await self._try(self._renew, within=self._fence.time_left())
            pause = max(0.0, began + self.retry_seconds - self._clock.monotonic())

    async def release(self) -> bool:
        """Give the Lease away, so that another replica need not wait for it to run out; say whether that was done."""
        try:
            self._fence.time_left()
        except NotLeader:
            return False
        self._fence.close()
        return await self._try(self._give_up)

    async def _try(self, step: Callable[[], Awaitable[bool]], *, within: float = math.inf) -> bool:
        """Take one step, in no more than `within` seconds; what fails for now counts as not done."""
        try:
            async with asyncio.timeout(min(within, 2 * self.retry_seconds)):
                return await step()
        except Conflict:
            return False
        except (Transient, TimeoutError) as error:
            log.warning("the lease cannot be reached", error=str(error) or "time-out")
            return False

    async def _take(self, *, by_force: bool = False) -> bool:
        """Take the Lease if it is there for the taking."""
        asked = self._clock.monotonic()
        lease = await self._read()
        if lease is None:
            spec = self._spec(transitions=0)
            body = LEASE.manifest({"name": self._lease.name, "namespace": self._lease.namespace}, spec=spec)
            await self._write("POST", path(LEASE, self._lease.namespace), body)
        elif by_force or self._is_free(lease):
            spec = self._spec(transitions=lease["spec"].get("leaseTransitions", 0) + 1)
            await self._put(lease, spec)
        else:
            return False
        self._fence.extend(asked + self._lease.seconds)
        return True

    async def _renew(self) -> bool:
        """Renew the Lease that this replica holds; one that someone else took closes the fence at once."""
        asked = self._clock.monotonic()
        lease = await self._read()
        if lease is None or lease["spec"].get("holderIdentity") != self._lease.holder:
            self._fence.close()
            return False
        kept = {"acquireTime": lease["spec"].get("acquireTime")}
        await self._put(lease, self._spec(transitions=lease["spec"].get("leaseTransitions", 0)) | kept)
        self._fence.extend(asked + self._lease.seconds)
        return True

    async def _give_up(self) -> bool:
        """Leave the Lease without a holder, if it is still this replica's."""
        lease = await self._read()
        if lease is None or lease["spec"].get("holderIdentity") != self._lease.holder:
            return False
        await self._put(lease, lease["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1})
        return True

    def _is_free(self, lease: Manifest) -> bool:
        """Say whether no one holds the Lease, or its holder has been silent for longer than it holds."""
        spec = lease.get("spec", {})
        if not spec.get("holderIdentity") or spec["holderIdentity"] == self._lease.holder:
            return True
        version, now = lease["metadata"]["resourceVersion"], self._clock.monotonic()
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, now)
        silent = now - self._seen[1]
        return silent > float(spec.get("leaseDurationSeconds") or self._lease.seconds)

    def _spec(self, *, transitions: int) -> Manifest:
        """Return the Lease of this replica, renewed now."""
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "holderIdentity": self._lease.holder,
            "leaseDurationSeconds": round(self._lease.seconds),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }

    async def _read(self) -> Manifest | None:
        """Return the Lease as it is, or None."""
        return await self._rest.read(path(LEASE, self._lease.namespace, self._lease.name))

    async def _put(self, lease: Manifest, spec: Manifest) -> None:
        """Store the Lease if no one did in between."""
        await self._write("PUT", path(LEASE, self._lease.namespace, self._lease.name), {**lease, "spec": spec})

    async def _write(self, method: str, where: str, body: Manifest) -> None:
        """Write past no fence: the Lease is what opens it."""
        await self._rest.write(method, where, body, time_left=self.retry_seconds)
