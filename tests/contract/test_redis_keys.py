"""What only Redis can go wrong with: keys that stay behind, keys of another slot, a script that runs twice."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from kato_service.processor.errors import UnsupportedSchema
from kato_service.processor.model import Answer, Declaration, Session
from kato_service.stores.redis_link import RedisLink
from kato_service.stores.redis_sessions import GRACE_SECONDS, SWEPT, RedisSessions
from kato_spec.keys import key_prefix
from kato_spec.records import DeclarationRecord
from tests.contract.test_session_store import NOW, full, session
from tests.support.stores.redis_server import RedisServer
from tests.support.stores.server import PATIENCE

FIRST = Path(__file__).parent / "files" / "version-1" / "redis.json"


@pytest.fixture
def server(redis_servers: dict[str, RedisServer]) -> RedisServer:
    return redis_servers["redis-cluster"]


@pytest.fixture
def prefix() -> str:
    return key_prefix("test", os.urandom(8).hex())


@pytest.fixture
async def store(server: RedisServer, prefix: str) -> AsyncIterator[RedisSessions]:
    opened = RedisSessions(RedisLink(server.url, prefix, PATIENCE))
    yield opened
    await opened.close()


def keys(server: RedisServer, prefix: str) -> dict[str, int]:
    """Return the processor's keys but for `schema`, each without the prefix, with the seconds it has to live."""
    with server.client() as client:
        found = [key for key in client.scan_iter(f"{prefix}*", count=10_000) if key != f"{prefix}schema".encode()]
        return {key.decode().removeprefix(prefix): client.ttl(key) for key in found}


async def busy_session(store: RedisSessions, name: str) -> Session:
    """Make a session with all that hangs on one."""
    await store.create(full(name), limit=0, now=NOW)
    after = replace(full(name), version="v2")
    await store.replace(after, "v1", Answer("key:\n1", "r", b"{}", NOW + 86400))
    return after


async def test_expired_sessions_leave_no_key(store: RedisSessions, server: RedisServer, prefix: str) -> None:
    for index in range(1200):
        await store.create(session(f"s{index}", node=f"n{index % 7}"), limit=0, now=NOW)
    await busy_session(store, "busy")
    assert len(keys(server, prefix)) > 1200
    assert len(await store.expire(NOW + 60)) == 1201
    assert keys(server, prefix) == {}


async def test_deleted_sessions_leave_no_key(store: RedisSessions, server: RedisServer, prefix: str) -> None:
    await busy_session(store, "busy")
    assert await store.delete("p.busy")
    record = DeclarationRecord(uid="u1", generation=1, name="main", user_id="alice")
    await store.declare(Declaration(record, "p.one"), session("one"), None)
    assert await store.withdraw("u1")
    assert keys(server, prefix) == {}


async def test_every_key_of_a_session_is_forgotten_by_redis_itself(
    store: RedisSessions, server: RedisServer, prefix: str
) -> None:
    await busy_session(store, "busy")
    await store.touch(replace(session("busy", version="v2"), last_activity=NOW + 5, expires_at=NOW + 65))
    found = keys(server, prefix)
    assert {"session:p.busy", "expiry", "age", "node:alice", "unsettled", "answers", "answers:p.busy"} == set(found)
    answers = {name: found.pop(name) for name in ("answers", "answers:p.busy")}
    assert all(GRACE_SECONDS < seconds <= GRACE_SECONDS + 60 for seconds in found.values()), found
    assert all(86400 < seconds <= GRACE_SECONDS + 86400 for seconds in answers.values()), answers


async def test_a_write_that_runs_twice_counts_once(store: RedisSessions) -> None:
    assert await store.create(session("one"), limit=1, now=NOW)
    assert await store.create(session("one"), limit=1, now=NOW)
    assert await store.replace(session("one", version="v2"), "v1")
    assert await store.replace(session("one", version="v2"), "v1")
    assert not await store.replace(session("one", version="v3"), "v1")


async def test_answers_that_have_expired_go_in_one_sweep_however_many(
    store: RedisSessions, server: RedisServer, prefix: str
) -> None:
    long = 10**6
    await store.create(session("one", ttl=long, version="v0"), limit=0, now=NOW)
    for index in range(2 * SWEPT + 2):
        answer = Answer(f"k{index}", "r", b"{}", NOW + (10 if index else 11))
        await store.replace(session("one", ttl=long, version=f"v{index + 1}"), f"v{index}", answer)
    assert list(await store.expire(NOW + 10)) == []
    with server.client() as client:
        assert client.hkeys(f"{prefix}answers:p.one") == [b"k0"]
        assert client.zrange(f"{prefix}answers", 0, -1) == [b"p.one:k0"]


async def test_the_record_of_a_session_that_redis_forgot_goes_with_the_sweep(
    store: RedisSessions, server: RedisServer, prefix: str
) -> None:
    await store.create(session("one"), limit=0, now=NOW)
    with server.client() as client:
        client.delete(f"{prefix}session:p.one")
    assert await store.get("p.one") is None
    assert list(await store.expire(NOW + 60)) == []
    assert keys(server, prefix) == {}


async def test_keys_of_the_first_version_are_read_and_brought_forward(
    store: RedisSessions, server: RedisServer, prefix: str
) -> None:
    with server.client() as client:
        put_first_version(client, prefix)
    page = await store.page(node=None, after=None, limit=10, now=NOW)
    expected = {"p.declared": session("declared"), "p.full": full("full"), "p.plain": session("plain", version="v2")}
    assert {each.id: each for each in page.sessions} == expected
    assert await store.unsettled() == (full("full"),)
    assert await store.answer("p.plain", "k") == Answer("k", "r", b"{}", NOW + 86400)
    assert [(each.generation, each.session_id) for each in await store.bindings(NOW)] == [(3, "p.declared")]
    parameters = await store.parameters()
    assert parameters is not None
    assert parameters.parameters == {"recall_threshold": 0.5}
    assert await store.replace(replace(full("full"), version="v2"), "v1")
    assert await store.get("p.full") == replace(full("full"), version="v2")
    with server.client() as client:
        assert client.get(f"{prefix}schema") == b"2"


def put_first_version(client: Redis, prefix: str) -> None:
    """Write keys as the service left them when the schema version was 1."""
    for name, held in json.loads(FIRST.read_text()).items():
        key = f"{prefix}{name}"
        for kind, value in held.items():
            if kind == "string":
                client.set(key, value)
            elif kind == "hash":
                client.hset(key, mapping=value)
            elif kind == "set":
                client.sadd(key, *value)
            else:
                client.zadd(key, value)


async def test_keys_of_a_newer_version_are_refused_and_left_alone(server: RedisServer, prefix: str) -> None:
    with server.client() as client:
        client.set(f"{prefix}schema", 99)
    store = RedisSessions(RedisLink(server.url, prefix, PATIENCE))
    with pytest.raises(UnsupportedSchema, match="99 is not allowed; allowed: at most 2"):
        await store.create(session("one"), limit=0, now=NOW)
    await store.close()
    assert keys(server, prefix) == {}
