"""Sessions, answers, declarations and live parameters in Redis, shared by all replicas of a processor.

Made by the composition root for external storage. Where each thing lies stands in `redis_scripts`; keys and their one
hash tag come from `kato_spec.keys`, so that a Redis Cluster holds a processor in one slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import methodcaller
from urllib.parse import quote

import orjson
from pydantic import ValidationError

from kato_service.processor.errors import InvalidRecord, TooManySessions
from kato_service.processor.model import Answer, Binding, Declaration, Life, Session
from kato_service.processor.ports import Page, Position, StoreUsage
from kato_service.stores import codec, redis_scripts
from kato_service.stores.redis_link import RedisLink
from kato_spec.records import DeclarationRecord, ParametersRecord

GRACE_SECONDS = 3600  # that Redis keeps a key beyond its session, for a replica to sweep it and say so
READ = 100  # sessions in one request: their short-term memories come with them
SWEPT = 500  # sessions, and answers, in one script: Redis answers nobody else meanwhile
TIME = 24  # bytes of a time in a session's value
IN_HEAD = frozenset({"version", "last_activity", "expires_at"})  # of a session, before its JSON


class RedisSessions:
    """`SessionStore` behind a `RedisLink`, for any number of replicas."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def create(self, session: Session, *, limit: int, now: float) -> bool:
        """See `SessionStore.create`."""
        outcome = await self._link.script(redis_scripts.CREATE, limit, repr(now), session.version, *_put(session))
        if outcome < 0:
            raise TooManySessions(limit)
        return bool(outcome)

    async def get(self, session_id: str) -> Session | None:
        """See `SessionStore.get`."""
        key = f"{self._link.prefix}session:{session_id}"
        value = await self._link.run(lambda client: client.get(key))
        return None if value is None else _session(value)

    async def replace(self, session: Session, expected: str, answer: Answer | None = None) -> bool:
        """See `SessionStore.replace`."""
        kept: tuple[object, ...] = ("", "", 0, 0)
        if answer is not None:
            value = b"%r\n%s\n%s" % (answer.expires_at, answer.request.encode(), answer.body)
            life = _milliseconds(answer.expires_at - session.last_activity)
            kept = (answer.key, value, repr(answer.expires_at), life)
        versions = (expected, session.version)
        return bool(await self._link.script(redis_scripts.REPLACE, *versions, *kept, *_put(session)))

    async def touch(self, session: Session) -> bool:
        """See `SessionStore.touch`."""
        times = (_time(session.last_activity), _time(session.expires_at), _life(session))
        return bool(
            await self._link.script(redis_scripts.TOUCH, session.id, session.version, *times, _written(session.node))
        )

    async def delete(self, session_id: str) -> bool:
        """See `SessionStore.delete`."""
        return bool(await self._link.script(redis_scripts.DELETE, session_id))

    async def page(self, *, node: str | None, after: Position | None, limit: int, now: float) -> Page:
        """See `SessionStore.page`."""
        place = (repr(after.created_at), after.session_id) if after else ("+inf", "")
        wanted = "" if node is None else f"'{_written(node)}"
        total, *values = await self._link.script(redis_scripts.PAGE, wanted, *place, limit, repr(now))
        return Page(tuple(map(_session, values)), total)

    async def count(self, now: float) -> int:
        """See `SessionStore.count`."""
        count: int = await self._link.script(redis_scripts.COUNT, repr(now))
        return count

    async def expire(self, now: float) -> Sequence[Session]:
        """See `SessionStore.expire`."""
        gone: list[Session] = []
        while True:
            due, *values = await self._link.script(redis_scripts.EXPIRE, repr(now), SWEPT)
            gone += map(_session, values)
            if due < SWEPT:
                return gone

    async def unsettled(self) -> Sequence[Session]:
        """See `SessionStore.unsettled`."""
        return tuple(map(_session, await self._link.script(redis_scripts.UNSETTLED)))

    async def answer(self, session_id: str, key: str) -> Answer | None:
        """See `SessionStore.answer`."""
        place = f"{self._link.prefix}answers:{session_id}"
        value = await self._link.run(lambda client: client.hget(place, key))
        if value is None:
            return None
        expires, request, body = value.split(b"\n", 2)
        return Answer(key, request.decode(), body, float(expires))

    async def declare(self, declaration: Declaration, session: Session | None, known: Declaration | None) -> bool:
        """See `SessionStore.declare`."""
        before = b"" if known is None else _bound(known)
        made = (1, *_put(session)) if session else (0,)
        uid = declaration.record.uid
        return bool(await self._link.script(redis_scripts.DECLARE, uid, before, _bound(declaration), *made))

    async def bindings(self, now: float) -> Sequence[Binding]:
        """See `SessionStore.bindings`."""
        key = f"{self._link.prefix}bindings"
        known = _by_uid(await self._link.run(lambda client: client.hvals(key)))
        bindings: list[Binding] = []
        for first in range(0, len(known), READ):
            some = known[first : first + READ]
            keys = [f"{self._link.prefix}session:{found.session_id}" for found in some]
            values = await self._link.run(methodcaller("mget", keys))
            bindings += (_binding(found, value, now) for found, value in zip(some, values, strict=True))
        return bindings

    async def declaration(self, uid: str) -> Declaration | None:
        """See `SessionStore.declaration`."""
        key = f"{self._link.prefix}bindings"
        value = await self._link.run(lambda client: client.hget(key, uid))
        return None if value is None else _declaration(value)

    async def unbound(self, now: float) -> Sequence[Declaration]:
        """See `SessionStore.unbound`."""
        return _by_uid(await self._link.script(redis_scripts.UNBOUND, repr(now)))

    async def withdraw(self, uid: str) -> bool:
        """See `SessionStore.withdraw`."""
        return bool(await self._link.script(redis_scripts.WITHDRAW, uid))

    async def parameters(self) -> ParametersRecord | None:
        """See `SessionStore.parameters`."""
        key = f"{self._link.prefix}parameters"
        value = await self._link.run(lambda client: client.get(key))
        try:
            return None if value is None else ParametersRecord.model_validate_json(value)
        except ValidationError as error:  # the operator writes it too
            raise InvalidRecord(key, value.decode(errors="replace"), error.errors()[0]["msg"]) from error

    async def save_parameters(self, record: ParametersRecord) -> None:
        """See `SessionStore.save_parameters`."""
        key = f"{self._link.prefix}parameters"
        await self._link.run(lambda client: client.set(key, record.model_dump_json()))

    def usage(self) -> StoreUsage:
        """See `SessionStore.usage`."""
        return self._link.usage()

    async def ping(self) -> None:
        """See `SessionStore.ping`."""
        await self._link.ping()

    async def close(self) -> None:
        """See `SessionStore.close`."""
        await self._link.close()


def _put(session: Session) -> tuple[object, ...]:
    """Return what the scripts' `put` wants of a session."""
    unsettled = session.pending is not None and not session.pending.settled
    node = _written(session.node)
    head = f"{_time(session.last_activity)}{_time(session.expires_at)}{'u' if unsettled else '-'}"
    value = f"{head}{session.version}\n{node}\n".encode() + codec.dump_session(session, beside=IN_HEAD)
    times = (repr(session.created_at), repr(session.expires_at), _life(session))
    return (session.id, value, node, *times, int(unsettled))


def _session(value: bytes) -> Session:
    version, _, body = value[redis_scripts.VERSION_AT :].split(b"\n", 2)
    last_activity, expires_at = float(value[:TIME]), float(value[TIME : 2 * TIME])
    return codec.load_session(body, version=version.decode(), last_activity=last_activity, expires_at=expires_at)


def _life_of(value: bytes) -> Life:
    body = value[redis_scripts.VERSION_AT :].split(b"\n", 2)[2]
    created_at, stm_length = codec.age_and_length(body)
    return Life(created_at, float(value[:TIME]), float(value[TIME : 2 * TIME]), stm_length)


def _bound(declaration: Declaration) -> bytes:
    record = declaration.record.model_dump(mode="json")
    return orjson.dumps({"record": record, "session_id": declaration.session_id}, option=orjson.OPT_SORT_KEYS)


def _declaration(value: bytes) -> Declaration:
    raw = orjson.loads(value)
    return Declaration(DeclarationRecord.model_validate(raw["record"]), raw["session_id"])


def _binding(known: Declaration, value: bytes | None, now: float) -> Binding:
    life = None if value is None else _life_of(value)
    alive = life if life is not None and life.expires_at > now else None
    return Binding.of(known, alive)


def _by_uid(values: Sequence[bytes]) -> Sequence[Declaration]:
    return sorted(map(_declaration, values), key=lambda declaration: declaration.record.uid)


def _written(node: str) -> str:
    """Write a node in one line of ASCII."""
    return quote(node, safe="")


def _time(seconds: float) -> str:
    return repr(seconds).ljust(TIME)


def _life(session: Session) -> int:
    return _milliseconds(session.expires_at - session.last_activity)


def _milliseconds(seconds: float) -> int:
    """Return for how long Redis is to keep what is of use for `seconds`."""
    return round((max(0.0, seconds) + GRACE_SECONDS) * 1000)
