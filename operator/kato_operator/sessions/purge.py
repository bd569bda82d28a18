"""The `Stores` port: what a processor leaves in the MongoDB and the Redis that it shared with others, removed.

Called by `reconcile` when a processor with deletionPolicy Delete goes, and by the sweep. Only what is the processor's
own goes: its keys by their prefix, and KATO's collections of its database, for a user may keep others there. Rights to
read and write that database suffice (spec: operator.md, "Deletion always ends").
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from kato_operator.desired.stores import Stores
from kato_operator.reconcile.fence import Fence
from kato_spec.keys import MONGODB_COLLECTIONS

CONNECT_SECONDS = 2.0
# For work that was given up: how often, and how long apart.
ENDING_TRIES, ENDING_SECONDS = 10, 0.1
BATCH = 1000  # keys in one command


class Purge:
    """Removes what processors left, for as long as the lease holds."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence

    async def remove(self, stores: Stores, seconds: float) -> list[str]:
        """See the port."""
        limit = min(seconds, self._fence.time_left())
        left = await asyncio.gather(
            _tried(f"MongoDB database {stores.database}", _drop_collections(stores), limit),
            _tried(f"Redis keys {stores.keys}*", _unlink_keys(stores), limit),
        )
        return [said for said in left if said]


async def _tried(what: str, work: Awaitable[None], seconds: float) -> str | None:
    """Do the work; return what was left and why, in words that hold no part of an address."""
    doing = asyncio.ensure_future(work)
    try:
        # Not by asyncio.timeout: before Python 3.12 MongoDB's driver may lose a cancellation, and would be waited for.
        done, _ = await asyncio.wait([doing], timeout=seconds)
    finally:
        await _end(doing)
    if not done:
        return f"{what} (no answer in {seconds:.0f} s)"
    try:
        await doing
    except (PyMongoError, RedisError, OSError, ValueError) as error:
        return f"{what} ({type(error).__name__})"
    return None


async def _end(doing: asyncio.Future[None]) -> None:
    """Cancel work until it has ended, for a bounded time: the driver may lose one cancellation after the other."""
    for _ in range(ENDING_TRIES):
        doing.cancel()
        done, _pending = await asyncio.wait([doing], timeout=ENDING_SECONDS)
        if done:
            return


async def _drop_collections(stores: Stores) -> None:
    """Drop KATO's collections; a database without any is gone."""
    milliseconds = round(CONNECT_SECONDS * 1000)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        stores.mongodb_uri,
        appname="kato-operator",
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
    )
    async with client:
        for name in MONGODB_COLLECTIONS:
            await client[stores.database].drop_collection(name)


async def _unlink_keys(stores: Stores) -> None:
    """Unlink every key of the processor, on a single server or a cluster."""
    options: dict[str, Any] = {"socket_connect_timeout": CONNECT_SECONDS, "retry": Retry(NoBackoff(), 1)}
    async with Redis.from_url(stores.redis_url, **options) as single:
        facts = await single.info("cluster")
        if not facts.get("cluster_enabled"):
            await _unlink(single, stores.keys)
            return
    async with RedisCluster.from_url(stores.redis_url, **options) as cluster:
        await _unlink(cluster, stores.keys)


async def _unlink(client: Any, prefix: str) -> None:  # noqa: ANN401 - either client
    """Unlink the keys with a prefix; they lie in one slot, so that one command may name many of them."""
    batch: list[bytes] = []
    async for key in client.scan_iter(match=f"{prefix}*", count=BATCH):
        batch.append(key)
        if len(batch) == BATCH:
            await client.unlink(*batch)
            batch.clear()
    if batch:
        await client.unlink(*batch)
