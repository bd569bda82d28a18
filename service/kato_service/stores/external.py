"""The stores that replicas share: memory on a MongoDB, sessions, wake-ups and directives on a Redis.

Called by `app`, which imports it only where such stores are named: the two drivers take long to import.
"""

from __future__ import annotations

from kato_service.processor.ports import MemoryStore, SessionStore, Sharing
from kato_service.stores.mongo_link import MongoLink
from kato_service.stores.mongo_memory import MongoMemory
from kato_service.stores.redis_link import RedisLink
from kato_service.stores.redis_sessions import RedisSessions
from kato_service.stores.redis_wakeups import RedisDirectives, RedisWakeups
from kato_spec.keys import key_prefix


def connect(
    mongodb_uri: str, database: str, redis_url: str, place: tuple[str, str], replica: str, seconds: float
) -> tuple[MemoryStore, SessionStore, Sharing]:
    """Return the stores of the processor at `place`, its namespace and ID, for the replica of this name.

    A store gives a sign of life within `seconds`, or is away.

    Raises:
        InvalidRecord: a connection string is none.
    """
    memory = MongoMemory(MongoLink(mongodb_uri, database, seconds))
    link = RedisLink(redis_url, key_prefix(*place), seconds)
    sharing = Sharing(replica, RedisWakeups(link, *place), RedisDirectives(link, *place))
    return memory, RedisSessions(link), sharing
