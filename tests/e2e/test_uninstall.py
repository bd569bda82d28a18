"""`helm uninstall` leaves processors and memory, hangs nothing, and a new installation takes up where it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from kato_operator.desired.names import FINALIZER
from tests.e2e.release import NAME, ROOT, Release
from tests.e2e.space import COUNTED, STARTED, Space, processor, session
from tests.support.documents import typed
from tests.support.eventually import eventually

KEPT = "http://kato-kept:8000"
DOOMED = ("doomed", "doomed-too", "doomed-later")
HELD = {"metadata": {"finalizers": [FINALIZER]}}


@pytest.fixture(scope="module")
def uninstalled(release: Release, space: Space) -> Iterator[Space]:
    """A namespace with processors of both policies, and no operator any more."""
    space.apply(
        processor("kept"),
        processor("kept-too", suspend=True),
        processor("doomed", deletionPolicy="Delete", suspend=True),
        processor("doomed-too", deletionPolicy="Delete", suspend=True),
        processor("doomed-later", deletionPolicy="Delete", suspend=True),
        session("reader", of="kept"),
    )
    space.wait("kproc/kept")
    eventually(lambda: all(held(space, name) for name in DOOMED), timeout=STARTED)
    for symbol in "ab":
        space.post(f"{KEPT}/observe", {"strings": [symbol]})
    assert space.post(f"{KEPT}/learn")["status"] == "learned"
    release.uninstall()
    yield space
    release.install()


def held(space: Space, name: str) -> bool:
    """Say whether a finalizer holds a processor."""
    return bool(space.get(f"kproc/{name}")["metadata"].get("finalizers"))


def test_objects_pods_and_memory_are_there(uninstalled: Space) -> None:
    names = uninstalled.kubectl("get", "kato", "-o", "name").split()
    assert len(names) == 6
    assert uninstalled.find("pvc/kato-kept-memory")
    assert uninstalled.read(f"{KEPT}/ping")["status"] == "okay"


def test_nothing_waits_for_the_operator(uninstalled: Space) -> None:
    assert not held(uninstalled, "doomed")
    uninstalled.kubectl("delete", "kproc", "doomed", "--timeout=20s")


def test_what_an_operator_that_is_gone_still_holds_is_let_go_by_hand(uninstalled: Space, release: Release) -> None:
    rights = f"rolebinding/{NAME}"
    uninstalled.kubectl("create", "rolebinding", NAME, "--clusterrole=view", "--serviceaccount=default:default")
    for reference in ("kproc/doomed-too", rights):
        uninstalled.kubectl("patch", reference, "--type=merge", "-p", json.dumps(HELD))
        uninstalled.kubectl("delete", reference, "--wait=false")
        assert uninstalled.find(reference)
    names = {"kproc": "doomed-too", "rolebinding": NAME}
    for command in (line for line in typed((ROOT / "docs/install.md").read_text()) if "finalizers" in line):
        kind = command.split()[4]
        release.type(command.replace("NAMESPACE", uninstalled.name).replace("NAME", names.pop(kind)))
    assert not names
    for reference in ("kproc/doomed-too", rights):
        assert uninstalled.find(reference) is None


def test_a_new_installation_finds_everything(uninstalled: Space, release: Release) -> None:
    pod = uninstalled.pod_of("kept")["metadata"]["uid"]
    release.install()
    eventually(lambda: held(uninstalled, "doomed-later"), timeout=STARTED)
    uninstalled.kubectl("patch", "kproc", "kept", "--type=merge", "-p", '{"spec":{"displayName":"Still here"}}')
    generation = uninstalled.get("kproc/kept")["metadata"]["generation"]
    eventually(lambda: uninstalled.get("kproc/kept")["status"]["observedGeneration"] == generation, timeout=STARTED)
    assert uninstalled.pod_of("kept")["metadata"]["uid"] == pod
    eventually(lambda: uninstalled.get("kproc/kept")["status"]["patterns"] == 1, promised=COUNTED)
