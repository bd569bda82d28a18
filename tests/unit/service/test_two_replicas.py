"""Two replicas on the same stores that hear nothing of each other: what either answers is all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kato_service.processor.errors import StoreUnavailable
from kato_service.processor.learn import finalize_training, learn
from kato_service.processor.model import Session
from kato_service.processor.observe import observe
from kato_service.processor.predict import predict
from kato_service.processor.processor import Processor
from kato_service.processor.sessions import NOTHING
from kato_service.stores.memory import VolatileMemory
from tests.support.processors import World, client, new_session, seen


async def learn_words(processor: Processor, session_id: str, *words: str) -> None:
    for word in words:
        await observe(processor, session_id, seen(word))
    await learn(processor, session_id)


async def cognition(processor: Processor, path: str) -> dict[str, Any]:
    async with client(processor) as api:
        answer = await api.get(f"{path}/cognition-data")
    data: dict[str, Any] = answer.raise_for_status().json()["cognition_data"]
    return data


async def test_finalize_training_reads_and_folds_what_another_replica_has_learned() -> None:
    world = World()
    here, there = await world.started(), await world.started()
    session_id, other = await new_session(here), await new_session(there)
    await learn_words(here, session_id, "a", "b")
    await learn_words(there, other, "c", "d")
    await learn_words(here, session_id, "e", "f")
    # Of a session that has itself seen no entry of the log: nothing but the log tells of the others.
    assert (await finalize_training(there, await new_session(there))).patterns == 3
    base = await there.library.read("alice")
    assert base.matcher.totals().total_unique_patterns == 3
    assert (await world.memory.load("alice")).seq == base.seq == 3


async def test_finalize_training_does_not_answer_by_a_log_that_lacks_what_the_session_has_seen() -> None:
    class Behind(VolatileMemory):
        """What a member of a replica set shows that has not got the last entries yet."""

        async def tail(self, node: str, after: int) -> tuple[()]:
            return ()

    processor = await World(memory=Behind()).started()
    session_id = await new_session(processor)

    async def elsewhere(session: Session) -> tuple[Session, None]:
        return replace(session, seq=1), None

    await processor.sessions.act(session_id, elsewhere, NOTHING)
    with pytest.raises(StoreUnavailable, match="entry 1"):
        await finalize_training(processor, session_id)


async def test_cognition_data_shows_what_the_present_stm_recalls() -> None:
    world = World()
    here, there = await world.started(), await world.started()
    session_id = await new_session(here)
    await learn_words(here, session_id, "a", "b", "c")
    await observe(there, session_id, seen("a"))
    (first,) = (await cognition(there, f"/sessions/{session_id}"))["predictions"]
    assert first["present"] == [["a"]]
    await observe(here, session_id, seen("b"))
    for replica in (there, here):
        told = await cognition(replica, f"/sessions/{session_id}")
        assert told["short_term_memory"] == [["a"], ["b"]]
        assert [each["present"] for each in told["predictions"]] == [[["a"], ["b"]]]
    await learn(here, session_id)
    for replica in (there, here):
        told = await cognition(replica, f"/sessions/{session_id}")
        assert (told["short_term_memory"], told["predictions"]) == ([], [])


async def test_cognition_data_shows_what_the_session_s_own_parameters_give() -> None:
    processor = await World().started()
    session_id = await new_session(processor)
    for last in "xyz":
        await learn_words(processor, session_id, "a", last)
    await observe(processor, session_id, seen("a"))
    assert (await predict(processor, session_id, {"max_predictions": 1})).count == 1
    assert len((await cognition(processor, f"/sessions/{session_id}"))["predictions"]) == 3


async def test_a_default_session_made_anew_shows_nothing_of_the_one_before() -> None:
    world = World()
    here, there = await world.started(), await world.started()
    await learn_words(here, await here.open_default(), "a", "b")
    await observe(there, "p.default", seen("a"))
    assert [each["present"] for each in (await cognition(there, ""))["predictions"]] == [[["a"]]]
    await here.delete("p.default")
    assert (await cognition(there, ""))["predictions"] == []
    assert await here.open_default() == "p.default"
    for word in "ab":
        await observe(here, "p.default", seen(word))
    assert [each["present"] for each in (await cognition(there, ""))["predictions"]] == [[["a"], ["b"]]]
