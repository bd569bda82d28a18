"""What must be refused, with the status, the field, the value and what is allowed; and nothing of it takes effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually

Sessions = Callable[..., str]
JSON = {"content-type": "application/json"}


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body.keys() == {"detail", "error", "request_id"}
    error: dict[str, Any] = body["error"]
    assert (error["code"], body["request_id"]) == (code, answer.headers["x-request-id"])
    assert "Traceback" not in answer.text
    return error


CALLS = [
    ("GET", ""),
    ("DELETE", ""),
    ("GET", "/config"),
    ("PUT", "/config"),
    ("POST", "/config"),
    ("POST", "/extend"),
    ("POST", "/observe"),
    ("POST", "/observe-sequence"),
    ("GET", "/stm"),
    ("POST", "/learn"),
    ("POST", "/clear-stm"),
    ("POST", "/clear-all"),
    ("POST", "/finalize-training"),
    ("GET", "/predictions"),
    ("POST", "/predictions"),
    ("GET", "/percept-data"),
    ("GET", "/cognition-data"),
]


@pytest.mark.parametrize(("method", "call"), CALLS)
@pytest.mark.parametrize("session_id", ["p1.none", "x", "p1.%F0%9F%90%88"])
def test_an_unknown_session_is_named(api: httpx.Client, method: str, call: str, session_id: str) -> None:
    body: dict[str, list[str]] | None = {"observations": [], "strings": []} if method in {"POST", "PUT"} else None
    error = refused(api.request(method, f"/sessions/{session_id}{call}", json=body), 404, "SESSION_NOT_FOUND")
    assert error["session_id"] == httpx.URL(f"http://x/{session_id}").path[1:]


def test_an_expired_session_is_an_unknown_one(api: httpx.Client, user: str) -> None:
    session_id = api.post("/sessions", json={"user_id": user, "ttl_seconds": 1}).json()["session_id"]
    eventually(lambda: not api.get(f"/sessions/{session_id}/exists").json()["exists"])
    refused(api.post(f"/sessions/{session_id}/observe", json={"strings": ["a"]}), 404, "SESSION_NOT_FOUND")
    assert api.get("/sessions", params={"user_id": user}).json()["total"] == 0


MALFORMED: list[tuple[bytes, str]] = [
    (b"{", "body"),
    (b"", "body"),
    (b"[]", "body"),
    (b"null", "body"),
    (b'{"strings": [NaN]}', "body"),
    (b'{"emotives": {"joy": NaN}}', "body"),
    (b'{"emotives": {"joy": Infinity}}', "body"),
    (b'{"strings": ["\xff"]}', "body"),
    (b'{"strings": ["\\ud800"]}', "body"),
    (b"[" * 5000, "body"),
    (b'{"strings": [null]}', "strings[0]"),
    (b'{"strings": ["a", 1]}', "strings[1]"),
    (b'{"strings": [true]}', "strings[0]"),
    (b'{"strings": "a"}', "strings"),
    (b'{"strings": null}', "strings"),
    (b'{"strings": ["' + b"x" * 65537 + b'"]}', "strings[0]"),
    (b'{"vectors": [[1, "2"]]}', "vectors[0][1]"),
    (b'{"vectors": [[true]]}', "vectors[0][0]"),
    (b'{"vectors": [[1e400]]}', "body"),
    (b'{"vectors": [[1e16]]}', "vectors[0][0]"),
    (b'{"vectors": [[]]}', "vectors[0]"),
    (b'{"vectors": [1]}', "vectors[0]"),
    (b'{"emotives": {"joy": "much"}}', "emotives.joy"),
    (b'{"emotives": {"joy": null}}', "emotives.joy"),
    (b'{"emotives": [1]}', "emotives"),
    (b'{"metadata": {"book": {"deep": 1}}}', "metadata.book"),
    (b'{"unique_id": 7}', "unique_id"),
]


@pytest.mark.parametrize(("content", "field"), MALFORMED)
def test_a_malformed_observation_names_its_field(
    api: httpx.Client, session: Sessions, content: bytes, field: str
) -> None:
    session_id = session()
    error = refused(api.post(f"/sessions/{session_id}/observe", content=content, headers=JSON), 422, "VALIDATION_ERROR")
    assert error["field"].startswith(field)
    assert error["allowed"]
    assert "value" in error
    assert len(error["value"]) < 200
    stm = api.get(f"/sessions/{session_id}/stm").json()
    percept = api.get(f"/sessions/{session_id}/percept-data").json()
    assert (stm["length"], percept["percept_data"]) == (0, {})


WORDED: list[tuple[dict[str, Any], str, str]] = [
    ({"strings": "a"}, "strings", "a list"),
    ({"strings": [1]}, "strings[0]", "a string"),
    ({"vectors": [["1"]]}, "vectors[0][0]", "a number"),
    ({"emotives": []}, "emotives", "an object"),
    ({"metadata": {"page": 7}}, "metadata.page", "a string or a list of strings"),
    ({"metadata": {"page": ["one", 7]}}, "metadata.page", "a string or a list of strings"),
]


@pytest.mark.parametrize(("body", "field", "allowed"), WORDED)
def test_what_is_allowed_is_said_in_words(
    api: httpx.Client, session: Sessions, body: dict[str, Any], field: str, allowed: str
) -> None:
    error = refused(api.post(f"/sessions/{session()}/observe", json=body), 422, "VALIDATION_ERROR")
    assert (error["field"], error["allowed"]) == (field, allowed)


def test_a_field_that_is_missing_and_a_flag_that_is_none(api: httpx.Client, session: Sessions) -> None:
    path = f"/sessions/{session()}/observe-sequence"
    error = refused(api.post(path, json={}), 422, "VALIDATION_ERROR")
    assert (error["field"], error["allowed"]) == ("observations", "a value; it is required")
    error = refused(api.post(path, json={"observations": [], "learn_at_end": 1}), 422, "VALIDATION_ERROR")
    assert (error["field"], error["allowed"]) == ("learn_at_end", "true or false")


def test_a_session_without_a_user_is_told_what_it_needs(api: httpx.Client) -> None:
    error = refused(api.post("/sessions", json={}), 422, "VALIDATION_ERROR")
    assert error["allowed"] == "user_id or node_id, a non-empty string"


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_metadata_of_a_session_is_not_nested_without_end(api: httpx.Client, user: str) -> None:
    good = api.post("/sessions", json={"user_id": user, "metadata": {"deep": nested(31)}})
    assert good.status_code == 200, good.text
    for depth in (32, 300, 900):
        body = {"user_id": user, "metadata": {"deep": nested(depth)}}
        error = refused(api.post("/sessions", json=body), 422, "VALIDATION_ERROR")
        assert (error["field"], error["allowed"]) == ("metadata", "an object nested at most 32 deep")
    assert api.get("/sessions", params={"user_id": user}).json()["total"] == 1


def test_one_bad_observation_refuses_the_whole_sequence(api: httpx.Client, session: Sessions) -> None:
    session_id = session()
    body = {"observations": [{"strings": ["a", "b"]}, {"strings": ["x" * 65537]}], "learn_after_each": True}
    error = refused(api.post(f"/sessions/{session_id}/observe-sequence", json=body), 422, "VALIDATION_ERROR")
    assert error["field"] == "observations[1].strings[0]"
    assert api.get(f"/sessions/{session_id}/stm").json()["length"] == 0


def test_a_sequence_of_too_many_observations(api: httpx.Client, session: Sessions) -> None:
    session_id = session()
    body = {"observations": [{"strings": ["a"]}] * 10_001}
    error = refused(api.post(f"/sessions/{session_id}/observe-sequence", json=body), 422, "VALIDATION_ERROR")
    assert (error["field"], error["value"]) == ("observations", "'10001 observations'")
    assert "at most 10000 observations" in error["allowed"]
    assert api.get(f"/sessions/{session_id}/stm").json()["length"] == 0


def test_a_vector_of_another_dimension_tells_both(api: httpx.Client, session: Sessions) -> None:
    session_id = session()
    path = f"/sessions/{session_id}/observe"
    assert api.post(path, json={"vectors": [[1, 2]]}).status_code == 200
    for vectors in ([[1, 2, 3]], [[1, 2], [1, 2, 3]]):
        error = refused(api.post(path, json={"vectors": vectors}), 400, "VectorDimensionError")
        assert (error["expected_dimension"], error["actual_dimension"]) == (2, 3)
    sequence = {"observations": [{"vectors": [[1, 2]]}, {"vectors": [[1]]}], "learn_after_each": True}
    refused(api.post(f"{path}-sequence", json=sequence), 400, "VectorDimensionError")
    assert api.get(f"/sessions/{session_id}/stm").json()["length"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": None}, "body"),
        ({"user_id": 7}, "user_id"),
        ({"user_id": "a", "node_id": "b"}, "body"),
        ({"user_id": "U", "ttl_seconds": 0}, "ttl_seconds"),
        ({"user_id": "U", "ttl_seconds": -5}, "ttl_seconds"),
        ({"user_id": "U", "ttl_seconds": 1.5}, "ttl_seconds"),
        ({"user_id": "U", "ttl_seconds": "60"}, "ttl_seconds"),
        ({"user_id": "U", "metadata": []}, "metadata"),
        ({"user_id": "U", "config": "x"}, "config"),
    ],
)
def test_a_session_without_what_it_needs(api: httpx.Client, body: dict[str, Any], field: str) -> None:
    before = api.get("/sessions", params={"user_id": "U"}).json()["total"]
    error = refused(api.post("/sessions", json=body), 422, "VALIDATION_ERROR")
    assert error["field"] == field
    assert api.get("/sessions", params={"user_id": "U"}).json()["total"] == before


def test_one_bad_value_in_a_first_config_makes_nothing(api: httpx.Client, user: str) -> None:
    config = {"recall_threshold": 2, "max_predictions": 0, "persistence": 3}
    answer = api.post("/sessions", json={"user_id": user, "config": config})
    refused(answer, 400, "INVALID_CONFIGURATION")
    assert answer.json()["detail"]["validation_errors"] == {
        "recall_threshold": "2 is not allowed; allowed: number 0..1",
        "max_predictions": "0 is not allowed; allowed: integer 1..10000",
    }
    assert api.get("/sessions", params={"user_id": user}).json()["total"] == 0


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_config_update_is_all_or_nothing(api: httpx.Client, session: Sessions, method: str) -> None:
    path = f"/sessions/{session()}/config"
    before = api.get(path).json()["config"]
    update = {"max_predictions": 5, "stm_mode": "SIDEWAYS", "max_seq_length": -1}
    answer = api.request(method, path, json=update)
    refused(answer, 400, "INVALID_CONFIGURATION")
    assert answer.json()["detail"]["validation_errors"].keys() == {"stm_mode", "max_seq_length"}
    assert api.get(path).json()["config"] == before


@pytest.mark.parametrize("config", [[1], None, "x"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_config_that_is_no_object(api: httpx.Client, session: Sessions, method: str, config: object) -> None:
    path = f"/sessions/{session()}/config"
    error = refused(api.request(method, path, json={"config": config}), 422, "VALIDATION_ERROR")
    assert (error["field"], error["allowed"]) == ("config", "an object of parameters and their values")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"recall_threshold": "2"}, 400),
        ({"max_predictions": "0"}, 400),
        ({"rank_sort_algo": "luck"}, 400),
        ({"recall_threshold": "nan"}, 400),
        ({"recall_threshold": "high"}, 422),
        ({"max_predictions": "2.5"}, 422),
    ],
)
def test_bad_overrides_of_a_prediction(
    api: httpx.Client, session: Sessions, query: dict[str, str], status: int
) -> None:
    answer = api.get(f"/sessions/{session()}/predictions", params=query)
    code = "INVALID_CONFIGURATION" if status == 400 else "VALIDATION_ERROR"
    refused(answer, status, code)
    assert next(iter(query)) in answer.text


@pytest.mark.parametrize("body", [{"stm": "a"}, {"stm": [None]}, {"stm": [["a", None]]}, {"stm": [["x" * 65537]]}])
def test_a_bad_stm_to_predict_from(api: httpx.Client, session: Sessions, body: dict[str, Any]) -> None:
    error = refused(api.post(f"/sessions/{session()}/predictions", json=body), 422, "VALIDATION_ERROR")
    assert error["field"].startswith("stm")


def test_learning_from_nothing(api: httpx.Client, session: Sessions) -> None:
    answer = api.post(f"/sessions/{session()}/learn")
    refused(answer, 400, "EMPTY_STM")
    assert answer.json()["detail"].startswith("Cannot learn from empty STM")


@pytest.mark.parametrize("cursor", ["x", "W10", "bm90IGpzb24", "\u2603", "WzEsMl0"])
@pytest.mark.parametrize("path", ["/sessions", "/patterns"])
def test_a_cursor_that_is_none(api: httpx.Client, path: str, cursor: str) -> None:
    error = refused(api.get(path, params={"cursor": cursor}), 422, "VALIDATION_ERROR")
    assert error["field"] == "cursor"


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "ten"])
def test_a_page_of_no_size(api: httpx.Client, limit: str) -> None:
    assert refused(api.get("/sessions", params={"limit": limit}), 422, "VALIDATION_ERROR")["field"] == "limit"


def test_another_processor_is_not_here(api: httpx.Client) -> None:
    answer = api.get("/processor-2/ping")
    error = refused(answer, 404, "PROCESSOR_NOT_FOUND")
    assert error["processor_id"] == "p1"
    refused(api.get("/sessions/x/nothing"), 404, "NOT_FOUND")
    refused(api.put("/sessions"), 405, "METHOD_NOT_ALLOWED")
    refused(api.get("/p1/p1/ping"), 404, "NOT_FOUND")


def test_extra_keys_in_a_body_are_ignored(api: httpx.Client, session: Sessions) -> None:
    assert api.post(f"/sessions/{session()}/observe", json={"strings": ["a"], "colour": 1}).status_code == 200


def test_a_body_that_is_no_json_by_its_type_says_so(api: httpx.Client, session: Sessions) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = api.post(f"/sessions/{session()}/observe", content=b'{"strings": ["a"]}', headers=form)
    refused(answer, 422, "VALIDATION_ERROR")
    assert "Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_bad_idempotency_key(api: httpx.Client, session: Sessions, key: str) -> None:
    answer = api.post(f"/sessions/{session()}/observe", json={"strings": ["a"]}, headers={"Idempotency-Key": key})
    assert refused(answer, 422, "VALIDATION_ERROR")["field"] == "Idempotency-Key"


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/ld+json", None])
def test_a_body_means_the_same_whichever_way_it_goes(api: httpx.Client, session: Sessions, kind: str | None) -> None:
    path, headers = f"/sessions/{session()}/observe", {"content-type": kind} if kind else {}
    good = api.post(path, content=b'{"strings": ["b", "a"], "colour": 1}', headers=headers)
    assert (good.status_code, good.json()["stm_length"]) == (200, 1)
    bad = api.post(path, content=b'{"strings": [7]}', headers=headers)
    assert refused(bad, 422, "VALIDATION_ERROR")["field"] == "strings[0]"
