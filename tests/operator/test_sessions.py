"""KatoSessions on a real cluster: bound, counted, expired, renewed, lost and withdrawn."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import httpx
import pytest

from tests.support.eventually import STRETCH, eventually
from tests.support.operator.space import COUNTED, PATIENCE, PROMISED, Space

NOTICED = 2.0  # an expiry, in seconds
SLACK = 2.0  # kubectl, timestamps of whole seconds


@pytest.fixture(scope="module")
def broad(space: Space) -> Space:
    """The namespace with a processor that is Ready, whose memory outlives its pod."""
    space.processor("broad", storage={"embedded": {"size": "1Gi"}})
    space.ready("broad")
    return space


def active(space: Space, name: str, **spec: object) -> str:
    """Apply a session, wait until it is usable and return its ID."""
    space.session(name, "broad", **spec)
    space.reaches(f"ksess/{name}", "Ready", "True")
    return str(space.get(f"ksess/{name}")["status"]["sessionId"])


def answers(space: Space) -> bool:
    """Say whether the processor answers through its Service."""
    try:
        return bool(space.ask("GET", "broad", "/ping"))
    except httpx.TransportError:
        return False


def count(space: Space) -> int:
    return int(space.ask("GET", "broad", "/sessions/count")["active_session_count"])


def exists(space: Space, session: str) -> bool:
    return bool(space.ask("GET", "broad", f"/sessions/{session}/exists")["exists"])


def test_a_session_without_its_processor_waits_and_binds_when_it_comes(space: Space) -> None:
    space.session("early", "late")
    space.reaches("ksess/early", "Bound", "False", "ProcessorNotFound")
    assert space.get("ksess/early")["status"]["phase"] == "Pending"
    space.processor("late")
    space.reaches("ksess/early", "Ready", "True", within=PATIENCE)
    space.kubectl("delete", "kproc/late")
    space.reaches("ksess/early", "Bound", "False", "ProcessorNotFound")
    space.kubectl("delete", "ksess/early")


def test_it_is_usable_as_soon_as_it_is_active_and_is_counted(broad: Space) -> None:
    session = active(broad, "reader", userId="ada", config={"maxPredictions": 5})
    assert broad.ask("GET", "broad", f"/sessions/{session}/config")["config"]["max_predictions"] == 5
    broad.ask("POST", "broad", f"/sessions/{session}/observe", {"strings": ["a"]})
    eventually(lambda: broad.get("ksess/reader")["status"]["stmLength"] == 1, promised=COUNTED, interval=1)
    status = broad.get("ksess/reader")["status"]
    assert (status["userId"], status["phase"]) == ("ada", "Active")
    assert status["url"].endswith(f"/sessions/{session}")
    eventually(lambda: broad.get("kproc/broad")["status"]["activeSessions"] >= 1, promised=COUNTED, interval=1)
    assert broad.kubectl("get", "ksess", "reader").split()[:5] == ["NAME", "PROCESSOR", "USER", "PHASE", "STM"]


def test_it_survives_a_restart_of_the_pod(broad: Space) -> None:
    session = active(broad, "sturdy")
    broad.ask("POST", "broad", f"/sessions/{session}/observe", {"strings": ["a"]})
    broad.kubectl("delete", "pod", broad.pod("broad")["metadata"]["name"])
    eventually(lambda: answers(broad), timeout=PATIENCE)  # the conditions may still be those of the pod before
    broad.ready("broad")
    broad.reaches("ksess/sturdy", "Ready", "True", within=PATIENCE)
    assert broad.get("ksess/sturdy")["status"]["sessionId"] == session
    assert broad.ask("GET", "broad", f"/sessions/{session}/stm")["stm"] == [["a"]]
    assert "SessionLost" not in broad.events("sturdy")


def test_its_configuration_is_owned_key_by_key(broad: Space) -> None:
    session = active(broad, "tuned", config={"maxPredictions": 5, "recallThreshold": 0.5})
    broad.ask("PUT", "broad", f"/sessions/{session}/config", {"persistence": 9})
    broad.session("tuned", "broad", config={"maxPredictions": 6})

    def config() -> tuple[object, ...]:
        found = broad.ask("GET", "broad", f"/sessions/{session}/config")["config"]
        return found["max_predictions"], found["recall_threshold"], found["persistence"]

    eventually(lambda: config() == (6, 0.1, 9), promised=PROMISED)


def test_expiry_is_noticed_within_2_s_and_the_object_removes_itself(broad: Space) -> None:
    session = active(broad, "short", ttlSeconds=5, removeAfterExpirySeconds=20)
    broad.reaches("ksess/short", "Expired", "True", within=5 + NOTICED + SLACK)
    status = broad.get("ksess/short")["status"]
    (condition,) = [item for item in status["conditions"] if item["type"] == "Expired"]
    late = moment(condition["lastTransitionTime"]) - moment(status["expiresAt"])
    assert late <= STRETCH * (NOTICED + 1)  # both are cut to whole seconds
    assert status["phase"] == "Expired"
    assert not exists(broad, session)
    eventually(lambda: broad.find("ksess/short") is None, promised=20 + PROMISED)


def test_a_session_in_use_lives_on(broad: Space) -> None:
    session = active(broad, "used", ttlSeconds=20)
    began = time.monotonic()

    def used_for_long() -> bool:
        broad.ask("POST", "broad", f"/sessions/{session}/observe", {"strings": ["a"]})
        assert broad.get("ksess/used")["status"]["phase"] == "Active"
        return time.monotonic() - began > 25

    eventually(used_for_long, timeout=90, interval=1)
    broad.reaches("ksess/used", "Expired", "True", within=20 + NOTICED + SLACK)


def test_renew_puts_a_new_session_in_its_place(broad: Space) -> None:
    before = active(broad, "evergreen", ttlSeconds=3, expiryPolicy="Renew")
    eventually(lambda: broad.get("ksess/evergreen")["status"]["sessionId"] != before, promised=3 + PROMISED)
    assert broad.get("ksess/evergreen")["status"]["phase"] == "Active"
    broad.kubectl("delete", "ksess/evergreen")


def test_deletion_deletes_the_session(broad: Space) -> None:
    session = active(broad, "brief")
    broad.kubectl("delete", "ksess/brief")
    eventually(lambda: not exists(broad, session), promised=PROMISED)


def test_deletion_over_http_is_like_expiry(broad: Space) -> None:
    session = active(broad, "dropped")
    broad.ask("DELETE", "broad", f"/sessions/{session}")
    broad.reaches("ksess/dropped", "Expired", "True", within=COUNTED)


def test_a_session_lost_with_its_store_is_bound_anew(space: Space) -> None:
    space.processor("fleeting")
    space.ready("fleeting")
    space.session("unlucky", "fleeting")
    space.reaches("ksess/unlucky", "Ready", "True")
    before = space.get("ksess/unlucky")["status"]["sessionId"]
    space.kubectl("delete", "pod", space.pod("fleeting")["metadata"]["name"])
    eventually(lambda: space.get("ksess/unlucky")["status"]["sessionId"] != before, timeout=PATIENCE)
    eventually(lambda: "SessionLost" in space.events("unlucky"), promised=PROMISED)
    space.kubectl("delete", "kproc/fleeting", "ksess/unlucky")


def test_its_time_runs_on_while_its_processor_is_suspended(space: Space) -> None:
    space.processor("resting")
    space.ready("resting")
    space.session("sleeper", "resting", ttlSeconds=20)
    space.reaches("ksess/sleeper", "Ready", "True")
    space.kubectl("patch", "kproc/resting", "--type=merge", "--patch", '{"spec":{"suspend":true}}')
    space.reaches("ksess/sleeper", "Ready", "False", "ProcessorSuspended")
    space.reaches("ksess/sleeper", "Expired", "True", within=PATIENCE)
    space.kubectl("delete", "kproc/resting", "ksess/sleeper")


def test_fifty_sessions_at_once(broad: Space) -> None:
    names = [f"many-{number}" for number in range(50)]
    before = count(broad)
    for name in names:
        broad.session(name, "broad", userId="many")
    broad.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *(f"ksess/{name}" for name in names))
    assert count(broad) == before + len(names)
    broad.kubectl("delete", *(f"ksess/{name}" for name in names))
    eventually(lambda: count(broad) == before, timeout=PATIENCE)


def moment(stamp: str) -> float:
    return datetime.fromisoformat(stamp).astimezone(UTC).timestamp()
