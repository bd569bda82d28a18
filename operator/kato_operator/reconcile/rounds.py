"""What is done by the clock: the first listing, resyncs against missed events, the sweep, and looks at Secrets.

Run by the composition root beside the workers (spec: operator.md, "Level-triggered", "Orphans").
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from kato_operator.desired.kinds import CUSTOM, SECRET, WATCHED, Kind, Manifest
from kato_operator.reconcile.cache import Place, place_of
from kato_operator.reconcile.feed import Feed
from kato_operator.reconcile.ports import Key, NotServed, Refused
from kato_operator.reconcile.removal import sweep
from kato_operator.reconcile.world import World, key_of, look_seconds, read_seconds
from kato_spec.errors import KatoError, Transient

log = structlog.get_logger()

# Every Secret is looked at this often, in seconds, in a large fleet more seldom; those of a pod that starts, then too.
SECRET_ROUND = 5.0
RESYNCED_PER_SECOND = 100.0
# A listing that is refused is asked for again: rights may come after the operator.
REFUSED_SECONDS = 5.0


class Rounds:
    """What is done again and again.

    `proven` is called with each kind whose watch was seen to miss nothing; a round of Secrets takes `secret_round`
    seconds.
    """

    def __init__(
        self, world: World, feed: Feed, proven: Callable[[Kind], None], *, secret_round: float = SECRET_ROUND
    ) -> None:
        self._secret_round = secret_round
        self._reading = asyncio.Lock()  # both rounds of Secrets share what may be read
        self._world = world
        self._feed = feed
        self._proven = proven

    async def start(self) -> None:
        """Take in everything there is; wait for the CRDs where they are not installed yet."""
        for kind in WATCHED:
            for manifest in await self._listed(kind):
                self._feed.seen(kind, manifest, gone=False)
            self._proven(kind)

    async def _listed(self, kind: Kind) -> list[Manifest]:
        """Return every object of `kind`, however long it takes until the API server can tell."""
        while True:
            try:
                return await self._world.cluster.listing(kind)
            except NotServed as error:
                log.info("waiting", reason=str(error))
                await asyncio.sleep(error.retry_after)
            except Transient as error:
                log.warning("the cluster cannot be listed", error=str(error))
                await asyncio.sleep(error.retry_after)
            except Refused as error:
                log.warning("the cluster may not be listed", error=str(error))
                await asyncio.sleep(REFUSED_SECONDS)

    async def resync(self) -> None:
        """Compare what the watches have shown with listings, and look at everything once more."""
        for kind in WATCHED:
            await self._resync_kind(kind)
        await self._world.rights.settle()
        ours = [manifest for kind in CUSTOM for manifest in self._world.cache.all(kind)]
        alive = {manifest["metadata"]["uid"] for manifest in ours}
        for memory in (self._world.tokens, self._world.counted, self._world.tried):
            for uid in memory.keys() - alive:
                del memory[uid]
        for place, manifest in enumerate(ours):
            self._world.add(key_of(manifest), self._left_for(key_of(manifest)) + place / RESYNCED_PER_SECOND)

    def _left_for(self, key: Key) -> float:
        """Return for how many seconds a resync leaves a key: in a large fleet until its pods are looked at anyway."""
        seconds = look_seconds(self._world)
        large = seconds > self._world.policy.counters_seconds
        return seconds if large and self._world.observations.last(key) else 0.0

    async def catch_up(self) -> None:
        """Look for what went while a watch was broken off: the listing with which it begins anew does not show it."""
        for kind in list(self._feed.listed):
            self._feed.listed.discard(kind)
            try:
                await self._resync_kind(kind)
            except KatoError:
                self._feed.listed.add(kind)
                raise

    async def _resync_kind(self, kind: Kind) -> None:
        """Correct what the cache knows of one kind."""
        there, known = await self._world.cluster.versions(kind), self._world.cache.versions(kind)
        missed = [place for place in there.keys() | known.keys() if there.get(place) != known.get(place)]
        for namespace, name in missed:
            live = await self._live(kind, namespace, name)
            gone = self._world.cache.get(kind, namespace, name) if live is None else None
            if live is not None and (namespace, name) in there:
                self._feed.seen(kind, live, gone=False)
            elif gone is not None:
                self._feed.seen(kind, gone, gone=True)
        if missed:
            log.info("resync", kind=kind.name, differing=len(missed))
        else:
            self._proven(kind)

    async def _live(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return an object as it is; where a namespace went, so did our right to read there."""
        try:
            return await self._world.cluster.get(kind, namespace, name)
        except Refused:
            return None

    async def sweep(self) -> None:
        """Remove what deleted objects left, and keep no rights in vain."""
        await self._world.rights.settle()
        await sweep(self._world)

    async def look_at_own_secrets(self) -> None:
        """See whether the Secrets that we made are as they were: they may be read, but not watched."""
        async for place in self._in_a_round(sorted(map(place_of, self._world.cache.all(SECRET)))):
            known = self._world.cache.get(SECRET, *place)
            if known is not None:
                live = await self._live(SECRET, *place)
                self._feed.seen(SECRET, live or known, gone=live is None)

    async def look_at_store_secrets(self) -> None:
        """Do the same for the Secrets that name stores; they are few where processors share them."""
        async for place in self._in_a_round(self._world.secrets.places):
            try:
                await self._world.secrets.look(place)
            except Refused as error:  # a namespace that goes takes our rights there; the others are read all the same
                log.warning("a Secret may not be read", namespace=place[0], name=place[1], error=str(error))

    async def _in_a_round(self, places: Sequence[Place]) -> AsyncIterator[Place]:
        """Yield each at its time in a round; where there is nothing to look at, a round takes as long."""
        for place in places:
            least = min(self._secret_round, read_seconds(self._world))
            await asyncio.sleep(max(0.0, self._secret_round / len(places) - least))
            async with self._reading:
                await asyncio.sleep(least)
            yield place
        if not places:
            await asyncio.sleep(self._secret_round)
