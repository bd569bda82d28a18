"""Values that come seldom: what expires, resets, learns by itself, extends a life, or tells of a store that is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess
from tests.support.stores.replicas import Replicas, Stores, running_stores

Sessions = Callable[..., str]
Processes = Callable[..., ServiceProcess]
SECRET = "hunter2-of-the-store"  # noqa: S105 - a test's own


def good(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_an_expired_session_is_told_apart_from_none_for_a_while(api: httpx.Client, user: str) -> None:
    def ended() -> bool:
        made = good(api.post("/sessions", json={"user_id": user, "ttl_seconds": 1}))
        path = f"/sessions/{made['session_id']}/exists"
        answer = eventually(lambda: None if (found := good(api.get(path)))["exists"] else found)
        assert answer["session_id"] == made["session_id"]
        return bool(answer["expired"])

    assert eventually(ended, timeout=60)  # a busy machine may look too late once
    never = good(api.get("/sessions/p1.never/exists"))
    assert never == {"exists": False, "expired": False, "session_id": "p1.never"}


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("place", ["json", "params"])
def test_no_life_is_extended_by_less_than_a_second(
    api: httpx.Client, session: Sessions, place: str, value: int
) -> None:
    path = f"/sessions/{session()}"
    before = good(api.get(path))["ttl_seconds"]
    answer = api.request("POST", f"{path}/extend", **{place: {"ttl_seconds": value}})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "ttl_seconds")
    assert answer.json()["error"]["value"] in {str(value), repr(str(value))}
    assert answer.json()["error"]["allowed"] == "a number of at least 1"
    assert good(api.get(path))["ttl_seconds"] == before


def test_one_symbol_is_not_enough_to_learn(api: httpx.Client, session: Sessions, user: str) -> None:
    path = f"/sessions/{session()}"
    good(api.post(f"{path}/observe", json={"strings": ["alone"]}))
    answer = good(api.post(f"{path}/learn"))
    assert (answer["status"], answer["pattern_name"]) == ("insufficient_data", "")
    assert good(api.get(f"{path}/stm"))["length"] == 0
    assert good(api.get("/patterns", params={"node_id": user}))["total"] == 0


def test_an_stm_that_is_full_is_learned_by_itself(api: httpx.Client, session: Sessions, user: str) -> None:
    path = f"/sessions/{session(max_pattern_length=2)}"
    answers = [good(api.post(f"{path}/observe", json={"strings": [symbol]})) for symbol in "abc"]
    names = [answer["auto_learned_pattern"] for answer in answers]
    assert [answer["stm_length"] for answer in answers] == [1, 0, 1]
    assert (names[0], names[2]) == (None, None)
    (pattern,) = good(api.get("/patterns", params={"node_id": user}))["patterns"]
    assert (names[1], pattern["pattern_data"]) == (pattern["name"], [["a"], ["b"]])


def test_a_sequence_learned_event_by_event_in_isolation(api: httpx.Client, session: Sessions, user: str) -> None:
    body = {
        "observations": [{"strings": ["a", "b"]}, {"strings": ["c", "d"]}],
        "learn_after_each": True,
        "clear_stm_between": True,
    }
    answer = good(api.post(f"/sessions/{session()}/observe-sequence", json=body))
    assert (answer["isolated"], answer["final_stm_length"]) == (True, 0)
    assert [each["stm_length"] for each in answer["results"]] == [0, 0]  # as they stand after each learning
    shown = good(api.get("/patterns", params={"node_id": user}))["patterns"]
    data = {each["name"]: each["pattern_data"] for each in shown}
    assert [data[name] for name in answer["auto_learned_patterns"]] == [[["a", "b"]], [["c", "d"]]]


def test_cognition_data_shows_what_has_been_accumulated(api: httpx.Client, session: Sessions) -> None:
    path = f"/sessions/{session()}"
    for joy, book in ((1.0, "one"), (-0.5, "two")):
        body = {"strings": ["a"], "emotives": {"joy": joy}, "metadata": {"book": book}}
        good(api.post(f"{path}/observe", json=body))
    cognition = good(api.get(f"{path}/cognition-data"))["cognition_data"]
    assert cognition["emotives"] == [{"joy": 1.0}, {"joy": -0.5}]
    assert cognition["metadata"] == {"book": ["one", "two"]}


def test_null_resets_a_key_to_the_processor_s_own_value(processes: Processes) -> None:
    with processes().start() as service, service.client() as api, service.side_door() as door:
        record = {"uid": "u", "generation": 1, "parameters": {"recall_threshold": 0.6}}
        good(door.put("/internal/parameters", json=record))
        made = good(api.post("/sessions", json={"user_id": "u", "config": {"recall_threshold": 0.9}}))
        path = f"/sessions/{made['session_id']}/config"
        assert good(api.get(path))["config"]["recall_threshold"] == 0.9
        assert good(api.put(path, json={"recall_threshold": None}))["config"]["recall_threshold"] == 0.6
        record |= {"generation": 2, "parameters": {"recall_threshold": 0.3}}
        good(door.put("/internal/parameters", json=record))
        assert good(api.get(path))["config"]["recall_threshold"] == 0.3


STEPS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "", None),
    ("GET", "/config", None),
    ("PUT", "/config", {"persistence": 3}),
    ("POST", "/config", {"persistence": 4}),
    ("POST", "/extend", None),
    ("POST", "/observe", {"strings": ["a", "b"]}),
    ("GET", "/stm", None),
    ("GET", "/predictions", None),
    ("POST", "/predictions", {"stm": [["a"]]}),
    ("GET", "/percept-data", None),
    ("GET", "/cognition-data", None),
    ("POST", "/learn", None),
    ("POST", "/observe-sequence", {"observations": [{"strings": ["a"]}]}),
    ("POST", "/finalize-training", None),
    ("POST", "/clear-stm", None),
    ("POST", "/clear-all", None),
]


def test_every_call_on_a_session_but_exists_extends_its_life(api: httpx.Client, session: Sessions, user: str) -> None:
    path = f"/sessions/{session()}"
    routes = {
        (verb.upper(), route.removeprefix("/sessions/{session_id}"))
        for route, verbs in good(api.get("/openapi.json"))["paths"].items()
        if route.startswith("/sessions/{session_id}")
        for verb in verbs
    }
    assert routes == {(method, call) for method, call, _ in STEPS} | {("DELETE", ""), ("GET", "/exists")}

    def expiry() -> str:
        (listed,) = good(api.get("/sessions", params={"user_id": user}))["sessions"]
        expires: str = listed["expires_at"]
        return expires

    for method, call, body in STEPS:
        before = expiry()
        good(api.request(method, f"{path}{call}", json=body))
        assert expiry() > before, (method, call)
        before = expiry()
        assert good(api.get(f"{path}/exists"))["exists"]
        assert expiry() == before, (method, call)


@pytest.fixture
def mortal_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Stores that a test may stop."""
    with running_stores(tmp_path_factory.mktemp("mortal")) as running:
        yield running


def test_what_tells_of_the_service_tells_of_a_store_that_is_away(mortal_stores: Stores, tmp_path: Path) -> None:
    replicas = Replicas(tmp_path, mortal_stores)
    with replicas.add(store_timeout_seconds="1").start() as service, service.client() as api:
        assert good(api.get("/health"))["status"] == "healthy"
        pools = good(api.get("/connection-pools"))
        assert {pool["status"] for pool in pools["pools"].values()} == {"up"}
        (redis,) = [name for name, pool in pools["pools"].items() if "redis" in pool["kind"].lower()]
        mortal_stores.redis.stop()
        eventually(lambda: good(api.get("/health"))["status"] == "degraded")
        assert good(api.get("/health"))["issues"]
        pools = good(api.get("/connection-pools"))
        assert pools["status"] == "degraded"
        down = {name: pool["status"] for name, pool in pools["pools"].items()}
        assert down == {name: "down" if name == redis else "up" for name in down}
        databases = good(api.get("/metrics"))["databases"]
        assert {name: each["status"] for name, each in databases.items()} == down
        service.kill()


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("redis_url", "redis://someone:{secret}@127.0.0.1:{redis}"),  # which knows no such user
        ("redis_url", "redis://someone:{secret}@127.0.0.1:1"),  # where nobody listens
        ("mongodb_uri", "mongodb://someone:{secret}@127.0.0.1:1/?directConnection=true"),
    ],
)
def test_no_log_shows_the_password_of_a_store_that_refuses(replicas: Replicas, setting: str, address: str) -> None:
    filled = address.format(secret=SECRET, redis=replicas.stores.redis.port)
    service = replicas.add(**{setting: filled}, log_level="debug", store_timeout_seconds="1").spawn()
    waiting = ("waiting_for_store", "store_away")
    eventually(lambda: {line["event"] for line in service.lines()} & set(waiting), timeout=60)
    service.kill()
    assert SECRET not in service.log.read_text()
