"""Every endpoint over HTTP to a real process: the fields, spellings and codes of service.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

Sessions = Callable[..., str]


def good(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def observe(api: httpx.Client, session_id: str, *strings: str, **more: object) -> dict[str, Any]:
    return good(api.post(f"/sessions/{session_id}/observe", json={"strings": strings, **more}))


def learn(api: httpx.Client, session_id: str, *events: tuple[str, ...]) -> str:
    for event in events:
        observe(api, session_id, *event)
    name: str = good(api.post(f"/sessions/{session_id}/learn"))["pattern_name"]
    return name


def test_ping_and_root_say_who_serves(api: httpx.Client) -> None:
    assert good(api.get("/ping")) == {"status": "okay", "id": "p1", "name": "KatoProcessor"}
    root = good(api.get("/"))
    wanted = {"service", "version", "description", "docs", "health", "status", "uptime_seconds", "session_support"}
    assert wanted <= root.keys()
    assert root["session_support"] is True


def test_every_path_works_behind_the_processor_too(api: httpx.Client, user: str) -> None:
    assert good(api.get("/p1/ping"))["id"] == "p1"
    assert good(api.get("/p1"))["service"] == "kato"
    session_id = good(api.post("/p1/sessions", json={"user_id": user}))["session_id"]
    assert observe(api, session_id, "a")["stm_length"] == 1
    assert good(api.get(f"/p1/sessions/{session_id}/stm"))["stm"] == [["a"]]


def test_health_and_the_probes(api: httpx.Client) -> None:
    health = good(api.get("/health"))
    wanted = {"status", "processor_status", "service_name", "uptime_seconds", "issues", "metrics_collected"}
    assert wanted | {"last_collection", "active_sessions", "timestamp"} <= health.keys()
    assert (health["status"], health["issues"]) == ("healthy", [])
    assert [api.get(f"/{probe}").status_code for probe in ("livez", "readyz", "startupz")] == [200, 200, 200]


def test_status_tells_the_matcher(api: httpx.Client) -> None:
    status = good(api.get("/status"))
    assert (status["status"], status["base_processor_id"]) == ("okay", "p1")
    assert status["processors"]["p1"]["matcher"] in {"oracle", "rust"}
    assert {"uptime_seconds", "sessions", "version"} <= status.keys()


def test_a_session_is_made_read_and_deleted(api: httpx.Client, user: str) -> None:
    body = {"node_id": user, "metadata": {"app": ["x", 1]}, "ttl_seconds": 77, "config": {"max_seq_length": 4, "x": 1}}
    made = good(api.post("/sessions", json=body))
    assert made["session_id"].startswith("p1.")
    assert (made["node_id"], made["user_id"], made["ttl_seconds"]) == (user, user, 77)
    assert made["metadata"] == {"app": ["x", 1]}
    assert made["session_config"]["max_pattern_length"] == 4
    assert made["ignored"] == ["x"]
    path = f"/sessions/{made['session_id']}"
    read = good(api.get(path))
    assert (read["session_id"], read["created_at"]) == (made["session_id"], made["created_at"])
    assert read["expires_at"] > made["expires_at"]
    assert good(api.get(f"{path}/exists")) == {"exists": True, "expired": False, "session_id": made["session_id"]}
    assert good(api.delete(path)) == {"status": "deleted", "session_id": made["session_id"]}
    assert api.delete(path).status_code == 404
    assert good(api.get(f"{path}/exists"))["exists"] is False


def test_session_ids_are_long_and_never_the_same(api: httpx.Client, session: Sessions) -> None:
    ids = {session() for _ in range(20)}
    assert len(ids) == 20
    assert min(len(each.removeprefix("p1.")) for each in ids) >= 22  # 128 bits in URL-safe base64


def test_sessions_are_listed_in_pages(api: httpx.Client, session: Sessions, user: str) -> None:
    made = [session() for _ in range(5)]
    seen: list[str] = []
    query: dict[str, Any] = {"user_id": user, "limit": 2}
    while True:
        page = good(api.get("/sessions", params=query))
        assert page["total"] == 5
        seen += [each["session_id"] for each in page["sessions"]]
        if not page["next_cursor"]:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == made[::-1]
    assert good(api.get("/sessions/count"))["active_session_count"] >= 5


def test_extend_sets_a_new_life(api: httpx.Client, session: Sessions) -> None:
    session_id = session()
    answer = good(api.post(f"/sessions/{session_id}/extend", json={"ttl_seconds": 99999}))
    assert (answer["status"], answer["ttl_seconds"]) == ("extended", 99999)
    assert good(api.post(f"/sessions/{session_id}/extend", params={"ttl_seconds": 5}))["ttl_seconds"] == 5
    assert good(api.get(f"/sessions/{session_id}"))["ttl_seconds"] == 5
    good(api.delete(f"/sessions/{session_id}"))  # whoever counts what goes is not to meet its end


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_config_by_either_verb_and_form(api: httpx.Client, session: Sessions, method: str, wrapped: bool) -> None:
    path = f"/sessions/{session(recall_threshold=0.9)}/config"
    update: dict[str, Any] = {"recall_threshold": None, "max_sequence_length": 3, "minhash_bands": 9, "colour": "red"}
    answer = good(api.request(method, path, json={"config": update} if wrapped else update))
    config = answer["config"]
    assert (config["recall_threshold"], config["max_pattern_length"], config["minhash_bands"]) == (0.1, 3, 9)
    assert answer["ignored"] == ["colour"]
    assert good(api.get(path))["config"] == config


def test_observing_answers_all_its_fields(api: httpx.Client, session: Sessions) -> None:
    session_id = session()
    answer = observe(api, session_id, "b", "a", emotives={"joy": 1}, metadata={"book": "one"}, unique_id="u7")
    assert {**answer, "node_id": 0, "user_id": 0} == {
        "status": "okay",
        "session_id": session_id,
        "node_id": 0,
        "user_id": 0,
        "processor_id": "p1",
        "stm_length": 1,
        "time": 1,
        "unique_id": "u7",
        "auto_learned_pattern": None,
        "at_rest": False,
    }
    percept = good(api.get(f"/sessions/{session_id}/percept-data"))["percept_data"]
    assert percept == {
        "strings": ["b", "a"],
        "vectors": [],
        "emotives": {"joy": 1.0},
        "metadata": {"book": ["one"]},
        "unique_id": "u7",
        "time": 1,
    }


def test_observe_learn_predict(api: httpx.Client, session: Sessions) -> None:
    session_id = session()
    name = learn(api, session_id, ("a",), ("b",), ("c",))
    assert name.startswith("PTRN|")
    assert good(api.get(f"/sessions/{session_id}/stm"))["stm"] == []
    observe(api, session_id, "a")
    answer = good(api.get(f"/sessions/{session_id}/predictions"))
    assert (answer["count"], answer["session_id"], answer["processor_id"]) == (1, session_id, "p1")
    (prediction,) = answer["predictions"]
    assert (prediction["name"], prediction["future"]) == (name.removeprefix("PTRN|"), [["b"], ["c"]])
    assert [each["supporting_patterns"] for each in answer["future_potentials"]] == [1]
    cognition = good(api.get(f"/sessions/{session_id}/cognition-data"))["cognition_data"]
    assert cognition["predictions"] == answer["predictions"]
    assert (cognition["short_term_memory"], cognition["symbols"]) == ([["a"]], ["a"])


def test_predictions_take_overrides_and_an_stm(api: httpx.Client, session: Sessions) -> None:
    session_id = session()
    for last in "xyz":
        learn(api, session_id, ("a",), (last,))
    path = f"/sessions/{session_id}/predictions"
    observe(api, session_id, "a")
    assert good(api.get(path))["count"] == 3
    assert good(api.get(path, params={"max_predictions": 2, "rank_sort_algo": "frequency"}))["count"] == 2
    given = good(api.post(path, json={"stm": [["a"], ["z"]], "recall_threshold": 1.0}))
    assert [each["sequence"] for each in given["predictions"]] == [[["a"], ["z"]]]
    assert good(api.post(path))["count"] == 3
    assert good(api.get(f"/sessions/{session_id}/stm"))["stm"] == [["a"]]


def test_a_sequence_in_one_call(api: httpx.Client, session: Sessions) -> None:
    session_id = session()
    body = {"observations": [{"strings": ["a"], "unique_id": "u0"}, {"strings": ["b"]}], "learn_at_end": True}
    answer = good(api.post(f"/sessions/{session_id}/observe-sequence", json=body))
    assert (answer["observations_processed"], answer["initial_stm_length"], answer["final_stm_length"]) == (2, 0, 0)
    assert answer["final_learned_pattern"].startswith("PTRN|")
    assert (answer["auto_learned_patterns"], answer["isolated"]) == ([], False)
    first = answer["results"][0]
    assert {name: first[name] for name in ("status", "sequence_position", "stm_length", "time", "unique_id")} == {
        "status": "okay",
        "sequence_position": 0,
        "stm_length": 1,
        "time": 1,
        "unique_id": "u0",
    }


def test_clearing_the_stm_and_the_node(api: httpx.Client, session: Sessions, user: str) -> None:
    one, two = session(), session()
    name = learn(api, one, ("a", "b"))
    observe(api, two, "kept")
    observe(api, one, "gone")
    assert good(api.post(f"/sessions/{one}/clear-stm"))["status"] == "cleared"
    assert good(api.get(f"/sessions/{one}/stm"))["length"] == 0
    assert api.get(f"/pattern/{name}", params={"node_id": user}).status_code == 200
    assert good(api.post(f"/sessions/{one}/clear-all"))["scope"] == "node"
    assert api.get(f"/pattern/{name}", params={"node_id": user}).status_code == 404
    assert good(api.get(f"/sessions/{two}/stm"))["stm"] == [["kept"]]


def test_finalize_training_is_a_barrier(api: httpx.Client, session: Sessions, user: str) -> None:
    session_id = session()
    learn(api, session_id, ("a", "b"))
    answer = good(api.post(f"/sessions/{session_id}/finalize-training"))
    assert (answer["patterns_processed"], answer["node_id"]) == (1, user)
    assert answer["time_ms"] >= 0


def test_a_pattern_is_shown_by_either_spelling_of_its_name(api: httpx.Client, session: Sessions, user: str) -> None:
    session_id = session()
    observe(api, session_id, "a", emotives={"joy": 0.5}, metadata={"book": ["two", "one"]})
    name = learn(api, session_id, ("b",))
    for spelt in (name, name.removeprefix("PTRN|")):
        answer = good(api.get(f"/pattern/{spelt}", headers={"x-node-id": user}))
        assert answer == {
            "pattern": {
                "status": "okay",
                "pattern": {
                    "name": name,
                    "pattern_data": [["a"], ["b"]],
                    "length": 2,
                    "frequency": 1,
                    "emotives": [{"joy": 0.5}],
                    "metadata": {"book": ["one", "two"]},
                },
            },
            "node_id": user,
        }
    assert api.get(f"/pattern/{name}").json()["error"]["code"] == "PATTERN_NOT_FOUND"


def test_patterns_are_listed_in_pages(api: httpx.Client, session: Sessions, user: str) -> None:
    session_id = session()
    names = sorted(learn(api, session_id, (f"s{index}", "all")) for index in range(5))
    seen: list[str] = []
    query: dict[str, Any] = {"node_id": user, "limit": 2}
    while True:
        page = good(api.get("/patterns", params=query))
        seen += [each["name"] for each in page["patterns"]]
        if not page["next_cursor"]:
            break
        query["cursor"] = page["next_cursor"]
    assert (seen, page["total"]) == (names, 5)
    some = good(api.get("/patterns", params={"node_id": user, "contains": "s3"}))["patterns"]
    assert [each["pattern_data"] for each in some] == [[["all", "s3"]]]
    assert len(good(api.get("/patterns", params={"node_id": user, "prefix": names[0]}))["patterns"]) == 1


def test_symbols_and_their_affinity(api: httpx.Client, session: Sessions, user: str) -> None:
    session_id = session()
    observe(api, session_id, "a/b", "c", "c", emotives={"joy": -0.5})
    good(api.post(f"/sessions/{session_id}/learn"))
    query = {"node_id": user}
    stats = good(api.get("/symbols/stats", params=query))
    assert stats["symbols"]["c"] == {"frequency": 2, "pattern_member_frequency": 1, "affinity": {"joy": -0.5}}
    assert stats["totals"]["total_symbol_frequencies"] == 3
    assert good(api.get("/symbols/affinity", params=query))["affinities"] == {"a/b": {"joy": -0.5}, "c": {"joy": -0.5}}
    assert good(api.get("/symbols/a%2Fb/affinity", params=query))["affinity"] == {"joy": -0.5}
    assert good(api.get("/symbols/unknown/affinity", params=query))["affinity"] == {}


def test_clients_from_before_sessions(api: httpx.Client) -> None:
    good(api.post("/clear-all-memory"))
    for symbol in ("a", "b"):
        good(api.post("/observe", json={"strings": [symbol]}))
    name = good(api.post("/learn"))["pattern_name"]
    good(api.post("/p1/observe", json={"strings": ["a"]}))
    assert good(api.get("/stm"))["stm"] == [["a"]]
    assert good(api.get("/predictions", params={"max_predictions": 1}))["count"] == 1
    assert good(api.get("/percept-data"))["percept_data"]["strings"] == ["a"]
    assert good(api.get("/cognition-data"))["cognition_data"]["symbols"] == ["a"]
    assert good(api.get(f"/pattern/{name}"))["pattern"]["pattern"]["frequency"] == 1
    good(api.post("/clear-stm"))
    assert good(api.get("/stm"))["length"] == 0
    good(api.post("/clear-all"))
    assert api.get(f"/pattern/{name}").status_code == 404


def test_every_route_documents_its_errors(api: httpx.Client) -> None:
    document = good(api.get("/openapi.json"))
    assert api.get("/docs").status_code == 200
    operations = [
        (path, verb, operation) for path, verbs in document["paths"].items() for verb, operation in verbs.items()
    ]
    assert len(operations) >= 40
    assert "Idempotency-Key" in document["info"]["description"]
    for path, verb, operation in operations:
        refused = {status: each for status, each in operation["responses"].items() if status != "200"}
        assert {"401", "413", "422", "503"} <= refused.keys(), (verb, path)
        assert "404" in refused or "{session_id}" not in path or path.endswith("exists"), (verb, path)
        for status, each in refused.items():
            content = each["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}, (verb, path)
            assert content["examples"], (verb, path, status)
            for code, example in content["examples"].items():
                assert example["value"]["error"]["code"] == code, (verb, path, status)


def test_a_request_id_is_kept_or_made(api: httpx.Client) -> None:
    assert api.get("/ping", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    made = [api.get("/ping", headers={"X-Request-ID": "with spaces"}).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]
    assert "with spaces" not in made
    refused = api.get("/sessions/none", headers={"X-Request-ID": "mine-2"})
    assert refused.json()["request_id"] == "mine-2"
