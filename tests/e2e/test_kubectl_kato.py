"""`kubectl kato` on a real cluster, as its user types it: one story, from the start of a processor to its stop."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from tests.e2e.release import ROOT
from tests.e2e.space import STARTED, Space
from tests.support.cluster.cluster import CommandFailed
from tests.support.eventually import eventually

SCRIPTS = ROOT / ".venv" / "bin"


def kato(space: Space, *words: str, by: str = "kubectl kato") -> str:
    """Run a command as the user of the namespace and return what it printed."""
    command = f"{by} {shlex.join(words)} --namespace {space.name}"
    script = f'export PATH={shlex.quote(str(SCRIPTS))}:"$PATH"; {command}'
    return space.cluster.run("bash", "-c", script, timeout=STARTED + 240)


def refused(space: Space, *words: str, by: str = "kubectl kato") -> str:
    """Run a command that must fail, and return the last line of what it said."""
    with pytest.raises(CommandFailed) as caught:
        kato(space, *words, by=by)
    return str(caught.value.stderr).splitlines()[-1]


def test_start_makes_a_processor_that_is_ready(space: Space) -> None:
    printed = kato(space, "start", "--id", "words", "--name", "My words", "--recall-threshold", "0.3")
    assert printed.split() == [
        "id",
        "words",
        "name",
        "My",
        "words",
        "port",
        "8000",
        "url",
        f"http://kato-words.{space.name}.svc:8000",
    ]
    assert space.get("kproc/words")["spec"]["parameters"] == {"recallThreshold": 0.3}
    assert space.condition("kproc/words", "Ready")["status"] == "True"


def test_an_id_that_is_no_label_becomes_one(space: Space) -> None:
    started = json.loads(kato(space, "start", "--id", "My Other!", "-o", "json", "--kubernetes", by="kato"))
    assert re.fullmatch(r"my-other-[0-9a-f]{8}", started["metadata"]["name"])
    assert started["spec"]["displayName"] == "My Other!"


def test_list_status_and_logs(space: Space) -> None:
    head, *rows = kato(space, "list").splitlines()
    assert head.split()[:3] == ["NAME", "DISPLAY", "NAME"]
    assert [row.split()[0] for row in rows] == [rows[0].split()[0], "words"]
    assert "My words" in rows[1]
    assert set(json.loads(kato(space, "list", "-o", "json"))["instances"]) == set(
        kato(space, "list", "-o", "name").split()
    )
    assert re.search(r"^Ready +True", kato(space, "status", "My words"), re.MULTILINE)
    assert '"event":"serving"' in kato(space, "logs", "words")
    assert "there is: " in refused(space, "status", "nobody")


def test_observe_learn_predict_and_sessions(space: Space) -> None:
    session = kato(space, "session", "new", "words", "--user", "me").strip()
    assert session.startswith("words.")
    kato(space, "observe", "words", "--session", session, "--each", "wake", "coffee", "walk")
    assert kato(space, "learn", "words", "--session", session).startswith("PTRN|")
    kato(space, "observe", "words", "--session", session, "--each", "wake", "coffee")
    assert kato(space, "stm", "words", "--session", session) == "wake\ncoffee\n"
    best = json.loads(kato(space, "predict", "words", "--session", session, "-o", "json"))["predictions"][0]
    assert best["future"] == [["walk"]]
    assert session in kato(space, "sessions", "words")
    kato(space, "session", "rm", "words", session)
    assert "SESSION_NOT_FOUND" in refused(space, "session", "get", "words", session)


def test_stop_suspends_and_keeps_everything(space: Space) -> None:
    assert kato(space, "stop", "words") == "words stopped (suspended, memory kept)\n"
    eventually(lambda: space.get("kproc/words")["status"].get("replicas", 0) == 0, timeout=STARTED)
    assert space.find("pvc/kato-words-memory") is not None
    assert kato(space, "stop", "words").startswith("words was stopped already")
    assert "--namespace is of a cluster: add --kubernetes" in refused(space, "list", by="kato")


def test_start_wakes_what_was_stopped(space: Space) -> None:
    kato(space, "start", "--id", "words", "--max-predictions", "7")
    spec = space.get("kproc/words")["spec"]
    assert (spec["displayName"], spec["parameters"]) == ("My words", {"recallThreshold": 0.3, "maxPredictions": 7})
    assert len(json.loads(kato(space, "export", "words", "-").splitlines()[-1])["end"]["sha256"]) == 64
    assert "already exists" in refused(space, "start", "--id", "words")
