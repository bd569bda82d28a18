"""The way to one Redis: a single server or a cluster, found out on the first call. Called by `redis_sessions`.

Calls are bounded and fail at once while Redis is away, as `remote` says.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import NoScriptError, RedisError

from kato_service.processor.errors import InvalidRecord, StoreUnavailable, UnsupportedSchema
from kato_service.processor.ports import StoreUsage
from kato_service.stores import redis_scripts
from kato_service.stores.remote import ANSWER_SECONDS, CALL_ANSWERS, Remote

VERSION = 2  # of what the keys hold, as `redis_scripts` describes it
CONNECTIONS = 64
Client = Redis | RedisCluster


class RedisLink:
    """One Redis and the keys of one processor, which all begin with `prefix`."""

    def __init__(self, url: str, prefix: str, seconds: float = ANSWER_SECONDS) -> None:
        """Take the URL (`redis://`, `rediss://` or `unix://`); nothing is asked of the server yet.

        Raises:
            InvalidRecord: it is no URL of a Redis.
        """
        self.prefix = prefix
        self._url, self._seconds = url, seconds
        self._patience = CALL_ANSWERS * seconds  # a heartbeat ends a connecting sooner, unless this process is late
        try:
            self._pool = self._new_pool()
        except ValueError as error:  # which may quote a part of the URL, a password in it
            raise InvalidRecord("redis_url", "what is set", "a URL of Redis") from error
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._remote = Remote("Redis", seconds, ping=self._ping, reset=self._drop, errors=(RedisError,))

    async def script(self, text: str, *arguments: object) -> Any:  # noqa: ANN401 - as the script says
        """Run a script of `redis_scripts`; the prefix goes before its arguments.

        Every script may run twice when a connection breaks, and means the same then.

        Raises:
            StoreUnavailable: as `Remote.call`.
        """

        given = (1, f"{self.prefix}expiry", self.prefix, *arguments)

        async def evaluate(client: Any) -> Any:  # noqa: ANN401 - the driver's types know no scripts
            try:
                return await client.evalsha(_digest(text), *given)
            except NoScriptError:
                return await client.eval(text, *given)

        return await self.run(evaluate)

    async def run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what `work` returns
        """Let `work` use the client, which is a `Redis` or a `RedisCluster`.

        Raises:
            StoreUnavailable: as `Remote.call`.
        """

        async def run() -> Any:  # noqa: ANN401 - what `work` returns
            async with self._free:
                return await work(await self._connected())

        return await self._remote.call(run)

    async def ping(self) -> None:
        """Return when Redis answers and can be written."""
        await self._remote.call(self._ping)

    async def publish(self, channel: str, message: bytes) -> None:
        """Tell whoever listens on `channel`.

        Raises:
            StoreUnavailable: as `Remote.call`.
        """
        await self.run(lambda client: client.execute_command("PUBLISH", channel, message))

    async def messages(self, channel: str) -> AsyncIterator[bytes | None]:
        """Yield what is published on `channel`; None first, as there may have been some before.

        Raises:
            StoreUnavailable: the connection broke; whoever listens begins anew.
        """
        client = await self._remote.call(self._listener)
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as line:
                await line.subscribe(channel)
                yield None
                asked = False
                while True:
                    message = await line.get_message(timeout=self._seconds)
                    if message is not None:
                        asked = False
                        if message["type"] == "message":
                            yield message["data"]
                    elif asked:
                        raise StoreUnavailable("Redis: nothing comes by the connection that listens")
                    else:
                        await line.ping()
                        asked = True
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"Redis: {error}") from error
        finally:
            await client.aclose(close_connection_pool=True)

    def usage(self) -> StoreUsage:
        """Return how it is used at this moment."""
        return self._remote.usage(CONNECTIONS)

    async def close(self) -> None:
        """Close every connection."""
        await self._remote.close()
        await self._drop()

    async def _connected(self) -> Client:
        """Return the client; the first call finds out what kind of server there is."""
        async with self._connecting:
            if self._client is None:
                single = Redis(connection_pool=self._pool)
                facts = await single.info("cluster")
                client = await self._clustered() if facts.get("cluster_enabled") else single
                await self._check_schema(client)
                self._client = client
            return self._client

    async def _check_schema(self, client: Any) -> None:  # noqa: ANN401 - either client
        """Note the schema version where none or an older one is noted.

        What an older version wrote is read as it is and rewritten when it changes: nothing else is to be done.

        Raises:
            UnsupportedSchema: a newer service has written the keys; they have not been touched.
        """
        key = f"{self.prefix}schema"
        found = await client.eval(redis_scripts.RAISE_SCHEMA, 1, key, VERSION)
        if found > VERSION:
            raise UnsupportedSchema(
                f"schema version of {key}", found, f"at most {VERSION}; start the newer service that wrote it"
            )

    async def _clustered(self) -> RedisCluster:
        options = {"socket_connect_timeout": self._patience, "socket_timeout": None, "retry": Retry(NoBackoff(), 1)}
        cluster = RedisCluster.from_url(self._url, max_connections=2 * CONNECTIONS, **options)
        try:
            return await cluster.initialize()
        except BaseException:
            await cluster.aclose()
            raise

    async def _listener(self) -> Redis:
        """Return a client of its own for listening, on the server that has the processor's keys."""
        client = await self._connected()
        listener = Redis.from_url(self._url, socket_connect_timeout=self._seconds, socket_timeout=None)
        if isinstance(client, RedisCluster):
            node = client.get_node_from_key(self.prefix)
            if node is None:
                raise Disconnected("no server of the cluster has the processor's slot")
            listener.connection_pool.connection_kwargs.update(host=node.host, port=node.port)
        return listener

    def _new_pool(self) -> ConnectionPool:
        return ConnectionPool.from_url(
            self._url,
            socket_connect_timeout=self._patience,
            socket_timeout=None,
            retry=Retry(NoBackoff(), 1, supported_errors=(Disconnected,)),
        )

    async def _ping(self) -> None:
        client: Any = await self._connected()
        await client.delete(f"{self.prefix}nothing")  # of a key that is never there: a write that changes nothing

    async def _drop(self) -> None:
        """Close what is open; the next call connects anew."""
        client, pool = self._client, self._pool
        self._client, self._pool = None, self._new_pool()
        if isinstance(client, RedisCluster):
            await client.aclose()
        await pool.disconnect(inuse_connections=True)


def _digest(script: str) -> str:
    """Return the name that Redis gives a script."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
