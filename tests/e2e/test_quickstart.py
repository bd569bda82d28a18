"""The quickstart on a real cluster, from `kubectl apply` to memory found again: one story, told in order.

Each test takes up where the one before it ended; `test_quickstart_external` tells the same story on shared stores.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.clients import stream
from tests.e2e.release import ROOT
from tests.e2e.space import COUNTED, NOTICED, STARTED, Space
from tests.support.eventually import eventually
from tests.support.learning import known

QUICKSTART = ROOT / "examples" / "quickstart.yaml"
BROAD = "http://kato-broad:8000"
SENTENCE = ("the", "cat", "sat")
AFTER = 20  # patterns that are learned when the processor is there again
PERMANENT = ("deployment", "service", "configmap", "networkpolicy", "serviceaccount")


def test_apply_and_wait_for_ready(space: Space) -> None:
    assert space.kubectl("apply", "-f", str(QUICKSTART)).splitlines() == [
        "katoprocessor.kato.dev/broad created",
        "katoprocessor.kato.dev/strict created",
        "katosession.kato.dev/reader created",
    ]
    space.kubectl("wait", "--for=condition=Ready", "katoprocessor", "--all", f"--timeout={STARTED}s", timeout=STARTED)
    space.wait("kproc/broad", "condition=ParametersLive")


def test_the_fast_matcher_serves(space: Space) -> None:
    (served,) = space.read(f"{BROAD}/status")["processors"].values()
    assert served["matcher"] == "rust"


def test_get_shows_what_there_is(space: Space, storage: str) -> None:
    eventually(lambda: shown(space, "ksess", "reader")["PHASE"] == "Active", promised=NOTICED)
    eventually(lambda: shown(space, "kproc", "broad")["PATTERNS"] == "0", promised=NOTICED)
    endpoint = f"http://kato-broad.{space.name}.svc:8000"
    broad = shown(space, "katoprocessors", "broad")
    assert broad | {"AGE": ""} == {
        "NAME": "broad",
        "DISPLAY NAME": "Broad memory",
        "READY": "True",
        "REPLICAS": "1",
        "STORAGE": storage,
        "SESSIONS": broad["SESSIONS"],
        "PATTERNS": "0",
        "ENDPOINT": endpoint,
        "AGE": "",
    }
    reader = shown(space, "katosessions", "reader")
    assert reader | {"AGE": "", "EXPIRES": ""} == {
        "NAME": "reader",
        "PROCESSOR": "broad",
        "USER": "reader",
        "PHASE": "Active",
        "STM": "0",
        "EXPIRES": "",
        "AGE": "",
    }
    wide = shown(space, "kproc", "broad", "-o", "wide")
    assert list(wide)[-3:] == ["IMAGE", "REASON", "AGE"]
    assert wide["REASON"] == "PodsReady"


def test_the_category_lists_both_kinds(space: Space) -> None:
    listed = set(space.kubectl("get", "kato", "-o", "name").split())
    assert listed == {"katoprocessor.kato.dev/broad", "katoprocessor.kato.dev/strict", "katosession.kato.dev/reader"}


def shown(space: Space, kind: str, name: str, *flags: str) -> dict[str, str]:
    """Return the row of an object as `kubectl get` prints it: columns begin where their titles do."""
    head, *rows = space.kubectl("get", kind, *flags).splitlines()
    (found,) = [row for row in rows if row.split()[0] == name]
    titles = list(re.finditer(r"\S+(?: \S+)*", head))
    ends = [*(title.start() for title in titles[1:]), len(found)]
    return {title[0]: found[title.start() : end].strip() for title, end in zip(titles, ends, strict=True)}


def test_observe_learn_and_predict_through_the_service(space: Space) -> None:
    session = space.post(f"{BROAD}/sessions", {"user_id": "reader"})["session_id"]
    for word in SENTENCE:
        assert space.post(f"{BROAD}/sessions/{session}/observe", {"strings": [word]})["status"] == "okay"
    assert space.post(f"{BROAD}/sessions/{session}/learn")["status"] == "learned"
    assert predicted(space, session) == [["sat"]]


def predicted(space: Space, session: str) -> object:
    """Show a session the beginning of the sentence and return what it expects next."""
    space.post(f"{BROAD}/sessions/{session}/clear-stm")
    for word in SENTENCE[:-1]:
        space.post(f"{BROAD}/sessions/{session}/observe", {"strings": [word]})
    best, *_ = space.read(f"{BROAD}/sessions/{session}/predictions")["predictions"]
    return best["future"]


def test_declared_session_is_usable_and_its_memory_is_seen(space: Space) -> None:
    reader = space.get("ksess/reader")["status"]["sessionId"]
    assert predicted(space, reader) == [["sat"]]  # it shares the knowledge of its user
    eventually(lambda: space.get("ksess/reader")["status"].get("stmLength") == 2, promised=COUNTED)
    assert shown(space, "katosessions", "reader")["STM"] == "2"
    eventually(lambda: space.get("kproc/broad")["status"].get("patterns") == 1, promised=COUNTED)


def test_changed_parameter_is_live_without_a_restart(space: Space) -> None:
    before = space.pod_of("broad")
    space.kubectl("patch", "kproc", "broad", "--type=merge", "-p", '{"spec":{"parameters":{"recallThreshold":0.3}}}')
    generation = space.get("kproc/broad")["metadata"]["generation"]

    def live() -> bool:
        condition = space.condition("kproc/broad", "ParametersLive")
        return (condition["status"], condition["observedGeneration"]) == ("True", generation)

    eventually(live, promised=NOTICED)
    reader = space.get("ksess/reader")["status"]["sessionId"]
    config = space.read(f"{BROAD}/sessions/{reader}/config")["config"]
    assert (config["recall_threshold"], config["max_predictions"]) == (0.3, 5)
    after = space.pod_of("broad")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_killed_pod_loses_nothing_acknowledged(space: Space) -> None:
    before = space.get("kproc/broad")["status"]["patterns"]
    victim = space.pod_of("broad")["metadata"]["name"]
    acknowledged = stream(
        space, BROAD, AFTER, lambda: space.kubectl("delete", "pod", victim, "--grace-period=1", "--wait=false")
    )
    assert known(lambda path: space.read(BROAD + path), "stream") == acknowledged
    count = before + len(acknowledged)
    eventually(lambda: space.get("kproc/broad")["status"]["patterns"] == count, promised=COUNTED)


@pytest.mark.parametrize("kind", PERMANENT)
def test_deleted_child_comes_back(space: Space, kind: str) -> None:
    child = f"{kind}/kato-broad"
    uid = space.get(child)["metadata"]["uid"]
    space.kubectl("delete", child, "--wait=false")
    eventually(lambda: (space.find(child) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid, promised=NOTICED)


def test_edited_child_is_mended(space: Space) -> None:
    edit = json.dumps([{"op": "replace", "path": "/spec/ports/0/port", "value": 9999}])
    space.kubectl("patch", "service", "kato-broad", "--type=json", "-p", edit)
    eventually(lambda: space.get("service/kato-broad")["spec"]["ports"][0]["port"] == 8000, promised=NOTICED)


def test_deleting_the_objects_leaves_no_child_but_the_memory(space: Space) -> None:
    space.wait("kproc/broad")
    space.kubectl("delete", "-f", str(QUICKSTART), "--timeout=60s")
    eventually(lambda: children(space) == {"PersistentVolumeClaim"}, timeout=60)
    names = space.kubectl("get", "pvc", "-o", "name").split()
    assert names == ["persistentvolumeclaim/kato-broad-memory", "persistentvolumeclaim/kato-strict-memory"]


def children(space: Space) -> set[str]:
    """Return the kinds of what is left of all processors of the namespace."""
    kinds = "deployments,replicasets,pods,services,configmaps,secrets,serviceaccounts,networkpolicies,pvc"
    return {item["kind"] for item in space.listing(kinds, "kato.dev/processor")}


def test_memory_is_found_again_by_a_processor_of_the_same_name(space: Space) -> None:
    space.kubectl("apply", "-f", str(QUICKSTART))
    space.wait("kproc/broad")
    session = space.post(f"{BROAD}/sessions", {"user_id": "reader"})["session_id"]
    assert predicted(space, session) == [["sat"]]


def test_delete_policy_removes_the_memory(space: Space) -> None:
    space.kubectl("patch", "kproc", "broad", "--type=merge", "-p", '{"spec":{"deletionPolicy":"Delete"}}')
    eventually(lambda: space.get("kproc/broad")["metadata"].get("finalizers"), promised=NOTICED)
    space.kubectl("delete", "kproc", "broad", "--timeout=60s")
    eventually(lambda: space.find("pvc/kato-broad-memory") is None, timeout=60)
    assert space.find("pvc/kato-strict-memory")
