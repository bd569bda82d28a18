"""`helm uninstall` leaves processors and memory, hangs nothing, and a new installation takes up where it ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.release import Release
from tests.e2e.space import COUNTED, STARTED, Space, processor, session
from tests.support.eventually import eventually

KEPT = "http://kato-kept:8000"


@pytest.fixture(scope="module")
def uninstalled(release: Release, space: Space) -> Iterator[Space]:
    """A namespace with processors of both policies, and no operator any more."""
    space.apply(
        processor("kept"),
        processor("kept-too", suspend=True),
        processor("doomed", deletionPolicy="Delete", suspend=True),
        processor("doomed-too", deletionPolicy="Delete", suspend=True),
        session("reader", of="kept"),
    )
    space.wait("kproc/kept")
    eventually(lambda: all(held(space, name) for name in ("doomed", "doomed-too")), timeout=STARTED)
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
    assert len(names) == 5
    assert uninstalled.find("pvc/kato-kept-memory")
    assert uninstalled.read(f"{KEPT}/ping")["status"] == "okay"


def test_nothing_waits_for_the_operator(uninstalled: Space) -> None:
    assert not held(uninstalled, "doomed")
    uninstalled.kubectl("delete", "kproc", "doomed", "--timeout=20s")


def test_a_new_installation_finds_everything(uninstalled: Space, release: Release) -> None:
    pod = uninstalled.pod_of("kept")["metadata"]["uid"]
    release.install()
    eventually(lambda: held(uninstalled, "doomed-too"), timeout=STARTED)
    uninstalled.kubectl("patch", "kproc", "kept", "--type=merge", "-p", '{"spec":{"displayName":"Still here"}}')
    generation = uninstalled.get("kproc/kept")["metadata"]["generation"]
    eventually(lambda: uninstalled.get("kproc/kept")["status"]["observedGeneration"] == generation, timeout=STARTED)
    assert uninstalled.pod_of("kept")["metadata"]["uid"] == pod
    eventually(lambda: uninstalled.get("kproc/kept")["status"]["patterns"] == 1, promised=COUNTED)
