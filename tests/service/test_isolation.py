"""Two users share nothing, two sessions of one user share the KB alone, two processors share nothing (service.md)."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.support.service_process import ServiceProcess

Sessions = Callable[..., str]


def observe(api: httpx.Client, session_id: str, *strings: str) -> None:
    assert api.post(f"/sessions/{session_id}/observe", json={"strings": strings}).status_code == 200


def stm(api: httpx.Client, session_id: str) -> list[list[str]]:
    events: list[list[str]] = api.get(f"/sessions/{session_id}/stm").json()["stm"]
    return events


def count(api: httpx.Client, session_id: str, *events: list[str]) -> int:
    found: int = api.post(f"/sessions/{session_id}/predictions", json={"stm": events}).json()["count"]
    return found


def test_two_users_share_nothing(api: httpx.Client, session: Sessions, user: str) -> None:
    alice, bob = session(user), session(f"{user}-other", recall_threshold=0.8)
    for event in ("a", "b", "c"):
        observe(api, alice, event)
        observe(api, bob, event.upper())
    assert stm(api, alice) == [["a"], ["b"], ["c"]]
    assert stm(api, bob) == [["A"], ["B"], ["C"]]
    learned = api.post(f"/sessions/{alice}/learn").json()["pattern_name"]
    assert stm(api, bob) == [["A"], ["B"], ["C"]]
    assert (count(api, alice, ["a"]), count(api, bob, ["a"])) == (1, 0)
    assert api.get(f"/pattern/{learned}", params={"node_id": f"{user}-other"}).status_code == 404
    stats = [api.get("/symbols/stats", params={"node_id": node}).json() for node in (user, f"{user}-other")]
    assert [each["totals"]["total_unique_patterns"] for each in stats] == [1, 0]
    configs = [api.get(f"/sessions/{each}/config").json()["config"]["recall_threshold"] for each in (alice, bob)]
    assert configs == [0.1, 0.8]
    api.post(f"/sessions/{bob}/clear-all")
    assert count(api, alice, ["a"]) == 1


def test_two_sessions_of_one_user_share_the_knowledge_and_no_stm(api: httpx.Client, session: Sessions) -> None:
    one, two = session(), session(max_predictions=7)
    observe(api, one, "a", "b")
    observe(api, two, "c")
    assert (stm(api, one), stm(api, two)) == ([["a", "b"]], [["c"]])
    api.post(f"/sessions/{one}/learn")
    assert (count(api, one, ["a"]), count(api, two, ["a"])) == (1, 1)
    assert stm(api, two) == [["c"]]
    assert api.get(f"/sessions/{one}/config").json()["config"]["max_predictions"] == 100


def test_two_processes_with_the_same_knowledge_answer_the_same_bytes(
    processes: Callable[..., ServiceProcess],
) -> None:
    texts = [f"the {noun} sees the {other}".split() for noun in ("cat", "dog", "owl") for other in ("bird", "fish")]
    answers = []
    for order in (texts, texts[::-1]):
        with processes(processor_id="same").start() as service, service.client() as api:
            session_id = api.post("/sessions", json={"user_id": "u"}).json()["session_id"]
            for text in order:
                body = {"observations": [{"strings": [word]} for word in text], "learn_at_end": True}
                api.post(f"/sessions/{session_id}/observe-sequence", json=body)
            path = f"/sessions/{session_id}/predictions"
            for stm_given in ([["the"], ["cat"]], [["owl"], ["sees"], ["fish"]], [["nothing"]]):
                answer = api.post(path, json={"stm": stm_given, "recall_threshold": 0.0})
                answers.append(answer.content.partition(b'"session_id"')[0])
    assert answers[:3] == answers[3:]
    assert len(answers[0]) > 1000


def test_two_processors_share_nothing(processes: Callable[..., ServiceProcess]) -> None:
    first, second = processes(processor_id="one").start(), processes(processor_id="two").start()
    with first.client() as one, second.client() as two:
        session_id = one.post("/sessions", json={"user_id": "u"}).json()["session_id"]
        body = {"observations": [{"strings": ["a", "b"]}], "learn_at_end": True}
        one.post(f"/sessions/{session_id}/observe-sequence", json=body)
        assert two.get(f"/sessions/{session_id}").status_code == 404
        assert two.get("/patterns", params={"node_id": "u"}).json()["total"] == 0
        assert one.get("/patterns", params={"node_id": "u"}).json()["total"] == 1
