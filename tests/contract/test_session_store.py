"""What every `SessionStore` promises: compare-and-set, expiry, pages, first answers, declarations."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from kato_service.engine.model import AFFINITY_ONE, Clearing, Learning
from kato_service.processor.errors import TooManySessions
from kato_service.processor.model import Answer, Binding, Declaration, Life, Observation, Pending, Percept, Session
from kato_service.processor.ports import Position, SessionStore
from kato_spec.records import DeclarationRecord, ParametersRecord

NOW = 1_700_000_000.0


def session(name: str, *, node: str = "alice", version: str = "v1", age: float = 0.0, ttl: int = 60) -> Session:
    return Session(f"p.{name}", node, version, NOW - age, NOW, NOW - age + ttl, ttl)


def full(name: str) -> Session:
    learning = Learning("o1", "n1", (("a",), ("b",)), affinity={"joy": 10**15 * AFFINITY_ONE}, vectors={"V": (0.1,)})
    return replace(
        session(name),
        metadata={"deep": {"list": [1, 2.5, None, "\u2603"]}},
        config={"recall_threshold": 0.3, "affinity_emotive": "joy"},
        declaration="uid",
        declared_keys=("recall_threshold",),
        stm=(("a", ""), ("b",)),
        observed_emotives=({"joy": 1 / 3},),
        observed_metadata={"book": ("one", "two")},
        observed_vectors={"VCTR|1": (0.1, -2.0)},
        time=7,
        quiet=2,
        seq=41,
        percept=Percept(Observation(("a",), ((0.5,),), {"joy": 1.0}, {"book": ("one",)}, "u"), 7),
        pending=Pending("me", (learning, Clearing("o2")), learned="n1"),
    )


async def test_a_session_comes_back_whole(sessions: SessionStore) -> None:
    await sessions.create(full("one"), limit=0, now=NOW)
    assert await sessions.get("p.one") == full("one")
    assert await sessions.get("p.two") is None


async def test_an_id_that_is_alive_is_not_taken_over(sessions: SessionStore) -> None:
    assert await sessions.create(session("one", ttl=10), limit=0, now=NOW)
    assert not await sessions.create(session("one", version="v2"), limit=0, now=NOW)
    found = await sessions.get("p.one")
    assert found is not None
    assert found.version == "v1"
    assert await sessions.create(session("one", version="v2"), limit=0, now=NOW + 10)
    found = await sessions.get("p.one")
    assert found is not None
    assert found.version == "v2"


async def test_replacing_wants_the_version_that_is_there(sessions: SessionStore) -> None:
    await sessions.create(session("one"), limit=0, now=NOW)
    assert await sessions.replace(session("one", version="v2"), "v1")
    assert not await sessions.replace(session("one", version="v3"), "v1")
    assert not await sessions.replace(session("gone", version="v2"), "v1")
    found = await sessions.get("p.one")
    assert found is not None
    assert found.version == "v2"
    assert await sessions.get("p.gone") is None


async def test_of_many_writers_of_one_version_one_wins(sessions: SessionStore) -> None:
    await sessions.create(session("one"), limit=0, now=NOW)
    won = await asyncio.gather(*(sessions.replace(session("one", version=f"w{i}"), "v1") for i in range(20)))
    assert won.count(True) == 1


async def test_an_answer_is_kept_only_with_its_write(sessions: SessionStore) -> None:
    await sessions.create(session("one"), limit=0, now=NOW)
    first, second = Answer("k", "r", b"{}", NOW + 10), Answer("k", "r", b"[]", NOW + 10)
    assert await sessions.replace(session("one", version="v2"), "v1", first)
    assert not await sessions.replace(session("one", version="v3"), "v1", second)
    assert await sessions.answer("p.one", "k") == first
    assert await sessions.answer("p.one", "other") is None
    await sessions.delete("p.one")
    assert await sessions.answer("p.one", "k") is None


async def test_answers_are_forgotten_when_they_expire(sessions: SessionStore) -> None:
    await sessions.create(session("one", ttl=10**6), limit=0, now=NOW)
    await sessions.replace(session("one", version="v2", ttl=10**6), "v1", Answer("k", "r", b"{}", NOW + 10))
    await sessions.expire(NOW + 9)
    assert await sessions.answer("p.one", "k") is not None
    await sessions.expire(NOW + 10)
    assert await sessions.answer("p.one", "k") is None


def touched(seconds: float, version: str = "v1", ttl: int = 60) -> Session:
    times = {"last_activity": NOW + seconds, "expires_at": NOW + seconds + ttl}
    return replace(session("one", version=version, ttl=ttl), **times)


async def test_touching_a_version_that_was_replaced_changes_nothing(sessions: SessionStore) -> None:
    await sessions.create(session("one"), limit=0, now=NOW)
    shorter = touched(1, version="v2", ttl=10)
    assert await sessions.replace(shorter, "v1")
    assert not await sessions.touch(touched(2))
    assert await sessions.get("p.one") == shorter


async def test_reads_and_writes_at_once_leave_behind_what_is_stored(sessions: SessionStore) -> None:
    await sessions.create(session("one"), limit=0, now=NOW)
    chance = random.Random(7)  # noqa: S311 - the same interleavings every time
    for turn in range(200):
        before = (await stored(sessions)).version
        work = [
            asyncio.ensure_future(each)
            for each in chance.sample(
                [
                    sessions.get("p.one"),
                    sessions.touch(touched(turn, before)),
                    sessions.get("p.one"),
                    sessions.replace(touched(turn + 0.5, f"w{turn}"), before),
                    sessions.touch(touched(turn + 0.75, f"w{turn}")),
                ],
                5,
            )
        ]
        if chance.random() < 0.5:
            await asyncio.sleep(0)
            chance.choice(work).cancel()
        await asyncio.gather(*work, return_exceptions=True)
        assert await sessions.get("p.one") == await stored(sessions)


async def stored(sessions: SessionStore) -> Session:
    """Return the only session as a listing reads it, which nothing remembers."""
    (found,) = (await sessions.page(node=None, after=None, limit=1, now=NOW)).sessions
    return found


async def test_touching_slides_the_expiry_and_keeps_the_version(sessions: SessionStore) -> None:
    await sessions.create(session("one"), limit=0, now=NOW)
    assert await sessions.touch(touched(5))
    assert await sessions.touch(touched(3))
    assert not await sessions.touch(replace(touched(5), id="p.gone"))
    found = await sessions.get("p.one")
    assert found is not None
    assert (found.last_activity, found.expires_at, found.version) == (NOW + 5, NOW + 65, "v1")
    assert await sessions.get("p.gone") is None
    assert list(await sessions.expire(NOW + 60)) == []


async def test_expired_sessions_go_and_are_named(sessions: SessionStore) -> None:
    await sessions.create(session("short", ttl=10), limit=0, now=NOW)
    await sessions.create(session("long", ttl=100), limit=0, now=NOW)
    assert [gone.id for gone in await sessions.expire(NOW + 10)] == ["p.short"]
    assert list(await sessions.expire(NOW + 10)) == []
    assert await sessions.get("p.short") is None
    assert await sessions.get("p.long") is not None


async def test_deleting_twice_is_no_secret(sessions: SessionStore) -> None:
    await sessions.create(session("one"), limit=0, now=NOW)
    assert await sessions.delete("p.one")
    assert not await sessions.delete("p.one")


async def test_the_limit_counts_what_is_alive(sessions: SessionStore) -> None:
    await sessions.create(session("one"), limit=2, now=NOW)
    await sessions.create(session("two", ttl=10), limit=2, now=NOW)
    with pytest.raises(TooManySessions):
        await sessions.create(session("three"), limit=2, now=NOW)
    assert await sessions.get("p.three") is None
    await sessions.create(session("four"), limit=2, now=NOW + 10)
    assert (await sessions.count(NOW), await sessions.count(NOW + 10)) == (3, 2)


async def test_pages_run_from_new_to_old_without_gap_or_repeat(sessions: SessionStore) -> None:
    for index in range(25):
        node = "alice" if index % 5 else "bob"
        await sessions.create(session(f"s{index:02}", node=node, age=index // 2, ttl=1000), limit=0, now=NOW)
    seen: list[Session] = []
    after: Position | None = None
    while (page := await sessions.page(node=None, after=after, limit=4, now=NOW)).sessions:
        assert page.total == 25
        seen += page.sessions
        after = Position(seen[-1].created_at, seen[-1].id)
    assert len({found.id for found in seen}) == 25
    assert seen == sorted(seen, key=lambda found: (found.created_at, found.id), reverse=True)
    bobs = await sessions.page(node="bob", after=None, limit=3, now=NOW)
    assert (bobs.total, len(bobs.sessions), {found.node for found in bobs.sessions}) == (5, 3, {"bob"})


async def test_pages_leave_out_what_has_expired(sessions: SessionStore) -> None:
    await sessions.create(session("short", ttl=10), limit=0, now=NOW)
    await sessions.create(session("long", ttl=100), limit=0, now=NOW)
    page = await sessions.page(node=None, after=None, limit=10, now=NOW + 10)
    assert ([found.id for found in page.sessions], page.total) == (["p.long"], 1)


async def test_the_unsettled_are_those_the_log_may_lack(sessions: SessionStore) -> None:
    settled = replace(full("settled"), pending=Pending("me", (Clearing("o"),), settled=True))
    for each in (session("plain"), full("open"), settled):
        await sessions.create(each, limit=0, now=NOW)
    assert list(await sessions.unsettled()) == [full("open")]
    await sessions.replace(replace(full("open"), pending=None, version="v2"), "v1")
    assert list(await sessions.unsettled()) == []


async def test_a_declaration_comes_and_goes_with_its_session(sessions: SessionStore) -> None:
    record = DeclarationRecord(uid="u1", generation=1, name="main", user_id="alice", config={"recall_threshold": 0.2})
    assert await sessions.declare(Declaration(record, "p.one"), session("one"), None)
    assert await sessions.get("p.one") == session("one")
    newer = Declaration(record.model_copy(update={"generation": 2}), "p.one")
    assert await sessions.declare(newer, None, Declaration(record, "p.one"))
    other = Declaration(record.model_copy(update={"uid": "u0"}), "p.two")
    assert await sessions.declare(other, session("two"), None)
    assert [found.uid for found in await sessions.bindings(NOW)] == ["u0", "u1"]
    assert await sessions.declaration("u1") == newer
    assert await sessions.declaration("none") is None
    assert await sessions.withdraw("u1")
    assert not await sessions.withdraw("u1")
    assert await sessions.get("p.one") is None
    assert [found.uid for found in await sessions.bindings(NOW)] == ["u0"]


async def test_of_many_bindings_of_one_declaration_one_wins(sessions: SessionStore) -> None:
    record = DeclarationRecord(uid="u1", generation=1, name="main", user_id="alice")
    bindings = [Declaration(record, f"p.s{i}") for i in range(20)]
    won = await asyncio.gather(*(sessions.declare(each, session(each.session_id[2:]), None) for each in bindings))
    assert won.count(True) == 1
    winner = bindings[won.index(True)]
    assert await sessions.declaration("u1") == winner
    assert [found.id for found in (await sessions.page(node=None, after=None, limit=9, now=NOW)).sessions] == [
        winner.session_id
    ]
    assert not await sessions.declare(Declaration(record, "p.new"), session("new"), bindings[won.index(False)])


async def test_declarations_whose_session_has_gone_are_found(sessions: SessionStore) -> None:
    for uid, ttl in (("u2", 10), ("u1", 10), ("u3", 100)):
        record = DeclarationRecord(uid=uid, generation=1, name="main", user_id="alice")
        await sessions.declare(Declaration(record, f"p.{uid}"), session(uid, ttl=ttl), None)
    assert list(await sessions.unbound(NOW)) == []
    await sessions.expire(NOW + 9)
    assert [found.record.uid for found in await sessions.unbound(NOW + 10)] == ["u1", "u2"]
    await sessions.delete("p.u3")
    assert [found.record.uid for found in await sessions.unbound(NOW)] == ["u3"]


async def test_bindings_tell_how_their_sessions_stand(sessions: SessionStore) -> None:
    made = {"u2": replace(full("long"), expires_at=NOW + 100), "u1": session("short", ttl=10)}
    for uid, each in made.items():
        record = DeclarationRecord(uid=uid, generation=3, name="main", user_id="alice")
        await sessions.declare(Declaration(record, each.id), each, None)
    active = replace(made["u2"], last_activity=NOW + 5, expires_at=NOW + 105)
    assert await sessions.touch(active)
    long = Binding("u2", 3, "p.long", Life(active.created_at, NOW + 5, NOW + 105, len(active.stm)))
    short = Life(made["u1"].created_at, made["u1"].last_activity, NOW + 10, 0)
    assert list(await sessions.bindings(NOW + 9)) == [Binding("u1", 3, "p.short", short), long]
    assert list(await sessions.bindings(NOW + 10)) == [Binding("u1", 3, "p.short", None), long]
    await sessions.expire(NOW + 10)
    assert list(await sessions.bindings(NOW + 9)) == [Binding("u1", 3, "p.short", None), long]


async def test_a_thousand_bindings_are_all_there(sessions: SessionStore) -> None:
    for number in range(1001):
        record = DeclarationRecord(uid=f"u{number:04}", generation=1, name="main", user_id="alice")
        await sessions.declare(Declaration(record, f"p.{number}"), session(str(number)), None)
    found = await sessions.bindings(NOW)
    assert [(each.uid, each.session_id) for each in found] == [(f"u{n:04}", f"p.{n}") for n in range(1001)]
    assert all(each.life for each in found)


async def test_nodes_of_any_text_are_told_apart(sessions: SessionStore) -> None:
    nodes = ["a", "a\nb", "a b", "", "\u2603", "a%0Ab", "'a"]
    for index, node in enumerate(nodes):
        await sessions.create(session(f"s{index}", node=node, ttl=10 + index), limit=0, now=NOW)
    for index, node in enumerate(nodes):
        page = await sessions.page(node=node, after=None, limit=9, now=NOW)
        assert ([found.id for found in page.sessions], page.total) == ([f"p.s{index}"], 1)
    assert [found.node for found in await sessions.expire(NOW + 12)] == nodes[:3]
    assert (await sessions.page(node="a\nb", after=None, limit=9, now=NOW)).total == 0


async def test_the_live_parameters_are_the_last_ones_put(sessions: SessionStore) -> None:
    assert await sessions.parameters() is None
    for generation in (1, 2):
        record = ParametersRecord(uid="u", generation=generation, parameters={"recall_threshold": 0.5})
        await sessions.save_parameters(record)
        assert await sessions.parameters() == record
