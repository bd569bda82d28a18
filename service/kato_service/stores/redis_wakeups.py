"""What the operator and the replicas of a processor tell each other by Redis. Made by the composition root."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from kato_service.stores import redis_scripts
from kato_service.stores.redis_link import RedisLink
from kato_spec.keys import state_key, wakeup_channel
from kato_spec.records import StateRecord

STATE_SECONDS = 15  # that a replica's state outlives its last report


class RedisWakeups:
    """`Wakeups` by publish and subscribe on the processor's channel."""

    def __init__(self, link: RedisLink, namespace: str, processor: str) -> None:
        self._link, self._channel = link, wakeup_channel(namespace, processor)

    async def publish(self, message: bytes) -> None:
        """See `Wakeups.publish`."""
        await self._link.publish(self._channel, message)

    def messages(self) -> AsyncIterator[bytes | None]:
        """See `Wakeups.messages`."""
        return self._link.messages(self._channel)


class RedisDirectives:
    """`Directives` in the keys of `kato_spec.keys`."""

    def __init__(self, link: RedisLink, namespace: str, processor: str) -> None:
        self._link, self._namespace, self._processor = link, namespace, processor

    async def changes(self) -> Sequence[tuple[str, bytes]]:
        """See `Directives.changes`."""
        found = await self._link.script(redis_scripts.CHANGES)
        return [(uid.decode(), record) for uid, record in zip(found[::2], found[1::2], strict=True)]

    async def taken(self, uid: str, record: bytes) -> None:
        """See `Directives.taken`."""
        key = f"{self._link.prefix}taken"
        if record:
            await self._link.run(lambda client: client.hset(key, uid, record))
        else:
            await self._link.run(lambda client: client.hdel(key, uid))

    async def report(self, replica: str, state: StateRecord) -> None:
        """See `Directives.report`."""
        key = state_key(self._namespace, self._processor, replica)
        await self._link.run(lambda client: client.set(key, state.model_dump_json(), ex=STATE_SECONDS))
