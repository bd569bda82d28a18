"""Both spellings of a node, wherever a client may write it: `user_id`, `node_id` and the header `x-node-id`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

Sessions = Callable[..., str]

SPELLINGS: dict[str, Callable[[str], dict[str, dict[str, str]]]] = {
    "node_id": lambda node: {"params": {"node_id": node}},
    "user_id": lambda node: {"params": {"user_id": node}},
    "both, equal": lambda node: {"params": {"node_id": node, "user_id": node}},
    "x-node-id": lambda node: {"headers": {"x-node-id": node}},
    "node_id over x-node-id": lambda node: {"params": {"node_id": node}, "headers": {"x-node-id": "another"}},
    "user_id over x-node-id": lambda node: {"params": {"user_id": node}, "headers": {"x-node-id": "another"}},
}
QUERIES = [name for name in SPELLINGS if "x-node-id" not in name]
ASKED = ("/pattern/{name}", "/patterns", "/symbols/stats", "/symbols/affinity", "/symbols/a/affinity")


@pytest.fixture
def learned(api: httpx.Client, session: Sessions) -> str:
    """The name of a pattern that the user's knowledge base, and no other, holds."""
    body: dict[str, Any] = {"observations": [{"strings": ["a"], "emotives": {"joy": 1.0}}, {"strings": ["b"]}]}
    answer = api.post(f"/sessions/{session()}/observe-sequence", json={**body, "learn_at_end": True})
    name: str = answer.json()["final_learned_pattern"]
    return name


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_knowledge_base_is_found_by_every_spelling(api: httpx.Client, user: str, learned: str, spelling: str) -> None:
    for path in ASKED:
        answer = api.get(path.format(name=learned), **SPELLINGS[spelling](user))
        assert (answer.status_code, answer.json()["node_id"]) == (200, user), path
        found = answer.json().get("patterns") or answer.json().get("symbols") or answer.json()
        assert found, path
    if spelling in QUERIES:
        sessions = api.get("/sessions", **SPELLINGS[spelling](user)).json()
        assert [each["node_id"] for each in sessions["sessions"]] == [user]
        assert f'"node":"{user}"' in api.get("/export", **SPELLINGS[spelling](user)).text


@pytest.mark.parametrize("spelling", QUERIES)
def test_an_import_goes_to_the_node_of_either_spelling(
    api: httpx.Client, user: str, learned: str, spelling: str
) -> None:
    exported = api.get("/export", params={"node_id": user}).content
    target = f"{user}, {spelling}"
    imported = api.post("/import", content=exported, **SPELLINGS[spelling](target)).json()
    assert imported["nodes"] == [{"node_id": target, "patterns": 1, "vectors": 0}]
    assert api.get(f"/pattern/{learned}", params={"node_id": target}).status_code == 200


def test_a_session_takes_both_spellings_that_are_equal(api: httpx.Client, user: str) -> None:
    made = api.post("/sessions", json={"user_id": user, "node_id": user})
    assert (made.status_code, made.json()["node_id"], made.json()["user_id"]) == (200, user, user)


@pytest.mark.parametrize(
    ("method", "path"), [*(("GET", path) for path in (*ASKED, "/sessions", "/export")), ("POST", "/import")]
)
def test_two_spellings_that_differ_are_refused(
    api: httpx.Client, user: str, learned: str, method: str, path: str
) -> None:
    exported = api.get("/export", params={"node_id": user}).content if method == "POST" else None
    query = {"node_id": user, "user_id": f"{user}, not"}
    answer = api.request(method, path.format(name=learned), params=query, content=exported)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")
    error = answer.json()["error"]
    assert (error["field"], error["value"]) == ("user_id", repr(query["user_id"]))
    assert error["allowed"] == f"what node_id says, {user!r}, or one of the two alone"
    for node in query.values():
        assert api.get("/patterns", params={"node_id": node}).json()["total"] == (node == user)
