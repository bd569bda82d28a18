"""Many clients at the same moment: nothing lost, nothing doubled, frequencies exact, retries counted once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from tests.support import http
from tests.support.service_process import ServiceProcess

Sessions = Callable[..., str]
CLIENTS = 16


@pytest.fixture
async def crowd(service: ServiceProcess) -> AsyncIterator[list[httpx.AsyncClient]]:
    clients = [http.AsyncClient(base_url=service.url, timeout=60) for _ in range(CLIENTS)]
    yield clients
    await asyncio.gather(*(client.aclose() for client in clients))


async def test_sixteen_learners_of_one_pattern(crowd: list[httpx.AsyncClient], session: Sessions, user: str) -> None:
    body = {"observations": [{"strings": ["a"]}, {"strings": ["b", "c"]}], "learn_at_end": True}

    async def learner(client: httpx.AsyncClient, session_id: str) -> None:
        for _ in range(15):
            answer = await client.post(f"/sessions/{session_id}/observe-sequence", json=body)
            assert answer.status_code == 200, answer.text

    await asyncio.gather(*(learner(client, session(process_predictions=False)) for client in crowd))
    (pattern,) = (await crowd[0].get("/patterns", params={"node_id": user})).json()["patterns"]
    assert pattern["frequency"] == CLIENTS * 15
    stats = (await crowd[0].get("/symbols/stats", params={"node_id": user})).json()
    assert stats["totals"] == {
        "total_unique_patterns": 1,
        "total_pattern_frequencies": CLIENTS * 15,
        "total_symbol_frequencies": CLIENTS * 15 * 3,
        "symbols": 3,
    }


async def test_sixteen_clients_on_one_session(crowd: list[httpx.AsyncClient], session: Sessions) -> None:
    session_id = session(process_predictions=False)

    async def client_of(number: int, client: httpx.AsyncClient) -> None:
        for step in range(15):
            symbol = f"{number}:{step:02}"
            answer = await client.post(f"/sessions/{session_id}/observe", json={"strings": [symbol]})
            assert answer.status_code == 200, answer.text

    await asyncio.gather(*(client_of(number, client) for number, client in enumerate(crowd)))
    events = [event[0] for event in (await crowd[0].get(f"/sessions/{session_id}/stm")).json()["stm"]]
    assert len(events) == len(set(events)) == CLIENTS * 15
    for number in range(CLIENTS):
        own = [event for event in events if event.startswith(f"{number}:")]
        assert own == sorted(own)


async def test_learning_between_observations_takes_every_event_once(
    crowd: list[httpx.AsyncClient], session: Sessions, user: str
) -> None:
    session_id = session(process_predictions=False)

    async def client_of(number: int, client: httpx.AsyncClient) -> None:
        for step in range(10):
            await client.post(f"/sessions/{session_id}/observe", json={"strings": [f"{number}:{step}", "x"]})
            if step % 3 == 2:
                answer = await client.post(f"/sessions/{session_id}/learn")
                assert answer.status_code in {200, 400}, answer.text

    await asyncio.gather(*(client_of(number, client) for number, client in enumerate(crowd)))
    left = (await crowd[0].get(f"/sessions/{session_id}/stm")).json()["stm"]
    patterns = (await crowd[0].get("/patterns", params={"node_id": user, "limit": 1000})).json()["patterns"]
    counts = Counter(event[0] for event in left)
    for pattern in patterns:
        assert pattern["frequency"] == 1
        counts.update(event[0] for event in pattern["pattern_data"])
    assert counts == {f"{number}:{step}": 1 for number in range(CLIENTS) for step in range(10)}


async def test_a_retry_with_its_key_counts_once_however_often_and_at_once(
    crowd: list[httpx.AsyncClient], session: Sessions, user: str
) -> None:
    session_id = session(process_predictions=False)
    body = {"observations": [{"strings": ["a"]}, {"strings": ["b"]}], "learn_at_end": True}
    path = f"/sessions/{session_id}/observe-sequence"
    key = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(*(client.post(path, json=body, headers=key) for client in crowd))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    (pattern,) = (await crowd[0].get("/patterns", params={"node_id": user})).json()["patterns"]
    assert pattern["frequency"] == 1
    other = await crowd[0].post(path, json={"observations": [{"strings": ["z"]}]}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await crowd[0].get(f"/sessions/{session_id}/stm")).json()["length"] == 0


def test_keys_hold_for_observe_and_learn_too(api: httpx.Client, session: Sessions, user: str) -> None:
    session_id = session()
    for call, body in (("observe", {"strings": ["a", "b"]}), ("learn", None)):
        answers = [
            api.post(f"/sessions/{session_id}/{call}", json=body, headers={"Idempotency-Key": call}) for _ in range(3)
        ]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
    (pattern,) = api.get("/patterns", params={"node_id": user}).json()["patterns"]
    assert (pattern["frequency"], pattern["pattern_data"]) == (1, [["a", "b"]])


def test_a_key_holds_on_every_path_to_the_default_session(api: httpx.Client) -> None:
    key = {"Idempotency-Key": "any-path"}
    before = api.get("/stm").json()["length"]
    paths = ("/observe", "/p1/observe", "/sessions/p1.default/observe")
    answers = [api.post(path, json={"strings": ["a"]}, headers=key) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.content for answer in answers}) == 1
    assert api.get("/stm").json()["length"] == before + 1
    assert api.post("/learn", headers=key).json()["error"]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_ping_answers_while_predictions_are_computed(crowd: list[httpx.AsyncClient], session: Sessions) -> None:
    session_id = session(process_predictions=False)
    for chunk in range(4):
        observations = [{"strings": [f"u{chunk}.{i}", *(f"w{i * k % 97}" for k in range(1, 9))]} for i in range(250)]
        body = {"observations": observations, "learn_after_each": True}
        answer = await crowd[0].post(f"/sessions/{session_id}/observe-sequence", json=body)
        assert answer.status_code == 200
    body = {"stm": [[f"w{i}"] for i in range(12)], "recall_threshold": 0.0, "max_predictions": 10000}
    asked = [crowd[0].post(f"/sessions/{session_id}/predictions", json=body) for _ in range(20)]
    slow = asyncio.gather(*asked)
    answered = 0
    while not slow.done():
        answered += (await crowd[1].get("/ping")).status_code == 200
    assert all(answer.json()["count"] > 900 for answer in slow.result())
    assert answered > 3
