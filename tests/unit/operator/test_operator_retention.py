"""Memory that is to be retained outlives a change of mind, a refused spec, a pause and a crash at any write."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from kato_operator.desired.kinds import CLAIM, CONFIG_MAP, PROCESSOR, SECRET
from kato_operator.desired.names import ON_DELETE_ANNOTATION, memory_note_name
from kato_operator.reconcile.ports import Refused
from tests.support.operator.rig import NAMESPACE, Rig, new_rig, restarted
from tests.support.operator.subjects import SHARED
from tests.support.operator.walk import applied

VOLUME = {"embedded": {"size": "1Gi"}}
STORES = SHARED["storage"]
BOTH = pytest.mark.parametrize("storage", [VOLUME, STORES], ids=["embedded", "external"])
NOTE = (CONFIG_MAP, memory_note_name("broad"))
PAUSED = {"kato.dev/paused": "true"}
# What the schema lets through and the operator refuses.
REFUSED = {"replicas": 3, "storage": VOLUME}


def with_stores(rig: Rig) -> Rig:
    """Have the Secrets that the external storage names."""
    for name, values in {"m": {"uri": "mongodb://m/"}, "r": {"url": "redis://r/0"}}.items():
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        rig.cluster.put(SECRET, SECRET.manifest({"name": name, "namespace": NAMESPACE}, data=data))
    return rig


async def doomed(rig: Rig, storage: dict[str, Any]) -> None:
    await applied(with_stores(rig), storage=storage, deletionPolicy="Delete")
    assert (rig.find(*NOTE) is None) is (storage is VOLUME)


async def reborn(rig: Rig) -> Rig:
    """Let a fresh operator do all it does at its start, the sweep first, and once more when all is quiet."""
    rig = restarted(rig)
    await rig.rounds.start()
    await rig.rounds.sweep()
    await rig.settle()
    await rig.rounds.sweep()
    await rig.forward(3)
    return rig


def is_kept(rig: Rig, storage: dict[str, Any]) -> bool:
    """Say whether the memory is there, and nothing says that it is to go."""
    if storage is STORES:
        return rig.stores.removed == [] and rig.find(*NOTE) is None
    claim = rig.find(CLAIM, "kato-broad-memory")
    return claim is not None and claim["metadata"]["annotations"][ON_DELETE_ANNOTATION] == "Retain"


@BOTH
async def test_a_change_of_mind_just_before_the_deletion_counts(rig: Rig, storage: dict[str, Any]) -> None:
    await doomed(rig, storage)
    rig.user_applies(PROCESSOR, "broad", storage=storage, deletionPolicy="Retain")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    assert rig.find(PROCESSOR, "broad") is None
    await rig.rounds.sweep()
    assert is_kept(rig, storage)


@BOTH
async def test_it_counts_while_no_operator_looks(rig: Rig, storage: dict[str, Any]) -> None:
    await doomed(rig, storage)
    rig.user_applies(PROCESSOR, "broad", storage=storage, deletionPolicy="Retain")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    rig = await reborn(rig)
    assert rig.find(PROCESSOR, "broad") is None
    assert is_kept(rig, storage)


@pytest.mark.parametrize(
    ("storage", "refused"), [(VOLUME, REFUSED), (STORES, {"storage": VOLUME})], ids=["embedded", "external"]
)
async def test_a_refused_spec_is_heard_in_its_deletion_policy(
    rig: Rig, storage: dict[str, Any], refused: dict[str, Any]
) -> None:
    await doomed(rig, storage)
    await applied(rig, **refused, deletionPolicy="Retain")
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", "InvalidSpec")
    assert is_kept(rig, storage)
    assert "finalizers" not in rig.get(PROCESSOR, "broad")["metadata"]
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    await rig.rounds.sweep()
    assert is_kept(rig, storage)


async def test_a_refused_spec_takes_its_memory_with_it_when_it_says_so(rig: Rig) -> None:
    await applied(rig, storage=VOLUME)
    await applied(rig, **REFUSED, deletionPolicy="Delete")
    assert rig.get(PROCESSOR, "broad")["metadata"]["finalizers"] == ["kato.dev/memory"]
    rig.cluster.refusals["PersistentVolumeClaim", "kato-broad-memory"] = Refused("DELETE", "Forbidden", "not now")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.forward(30)
    rig.cluster.refusals.clear()
    await rig.forward(3)
    assert rig.find(PROCESSOR, "broad") is None
    assert rig.find(CLAIM, "kato-broad-memory") is None


async def test_a_finalizer_that_is_not_taken_keeps_no_refusal_from_being_said(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.user_applies(PROCESSOR, "broad", **REFUSED, deletionPolicy="Delete")
    with monkeypatch.context() as patched:
        patched.setattr(rig.cluster, "set_finalizers", refuse)
        await rig.settle()
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", "InvalidSpec")
    await rig.rounds.resync()
    await rig.settle()
    assert rig.get(PROCESSOR, "broad")["metadata"]["finalizers"] == ["kato.dev/memory"]


async def refuse(*_: object) -> dict[str, Any]:
    """Stand in for an API server that does not take finalizers."""
    raise Refused("PATCH", "Invalid", "spec.replicas")


@BOTH
async def test_a_paused_processor_is_heard_in_its_deletion_policy(rig: Rig, storage: dict[str, Any]) -> None:
    await doomed(rig, storage)
    rig.user_annotates(PROCESSOR, "broad", PAUSED)
    await applied(rig, storage=storage, deletionPolicy="Retain")
    assert rig.condition(PROCESSOR, "broad", "Progressing") == ("False", "Paused")
    assert is_kept(rig, storage)
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    await rig.rounds.sweep()
    assert is_kept(rig, storage)


async def test_a_mark_that_is_not_taken_away_holds_the_processor(rig: Rig) -> None:
    await doomed(rig, VOLUME)
    rig.cluster.refusals["PersistentVolumeClaim", "kato-broad-memory"] = Refused("PATCH", "Forbidden", "not now")
    rig.user_applies(PROCESSOR, "broad", storage=VOLUME, deletionPolicy="Retain")
    await rig.settle()
    assert rig.get(PROCESSOR, "broad")["metadata"]["finalizers"] == ["kato.dev/memory"]


@BOTH
@pytest.mark.parametrize("deleted", [False, True], ids=["crash-then-delete", "delete-then-crash"])
async def test_a_crash_at_any_write_on_the_way_to_retain_loses_nothing(storage: dict[str, Any], deleted: bool) -> None:
    def retains(rig: Rig) -> None:
        rig.user_applies(PROCESSOR, "broad", storage=storage, deletionPolicy="Retain")
        if deleted:
            rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")

    assert await crashes(storage, "Delete", retains, "Retain") >= 2


@BOTH
async def test_a_crash_at_any_write_on_the_way_to_delete_loses_nothing_of_who_thinks_again(
    storage: dict[str, Any],
) -> None:
    def deletes(rig: Rig) -> None:
        rig.user_applies(PROCESSOR, "broad", storage=storage, deletionPolicy="Delete")

    assert await crashes(storage, "Retain", deletes, "Retain") >= 2


@BOTH
async def test_a_crash_at_any_write_on_the_way_to_delete_leaves_nothing_once_the_finalizer_is_on(
    storage: dict[str, Any],
) -> None:
    def deletes(rig: Rig) -> None:
        rig.user_applies(PROCESSOR, "broad", storage=storage, deletionPolicy="Delete")

    assert await crashes(storage, "Retain", deletes, "Delete") >= 2


async def crashes(storage: dict[str, Any], first: str, step: Callable[[Rig], None], last: str) -> int:
    """Crash at each write after `step`, delete the processor under the policy `last` while no operator runs, and see
    that a fresh one keeps the memory, or removes it if it is to go; return how many writes there were.
    """
    number = 0
    while True:
        rig = with_stores(new_rig())
        await rig.start()
        await applied(rig, storage=storage, deletionPolicy=first)
        rig.cluster.crash_at = len(rig.cluster.writes) + number
        step(rig)
        crashed = await rig.dies()
        rig.cluster.crash_at = None
        held = False
        if there := rig.find(PROCESSOR, "broad"):
            rig.cluster.put(PROCESSOR, {**there, "spec": {**there["spec"], "deletionPolicy": last}})
            held = bool(there["metadata"].get("finalizers"))
            if not there["metadata"].get("deletionTimestamp"):
                rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
        again = await reborn(rig)
        assert again.find(PROCESSOR, "broad") is None
        if last == "Retain":
            assert is_kept(again, storage), f"after a crash at write {number}"
        elif held:
            gone = again.stores.removed if storage is STORES else again.find(CLAIM, "kato-broad-memory") is None
            assert gone, f"after a crash at write {number}"
        if not crashed:
            return number
        number += 1


async def test_the_sweep_goes_by_what_a_memory_says_now(rig: Rig) -> None:
    await doomed(rig, VOLUME)
    doomed_claim = rig.get(CLAIM, "kato-broad-memory")
    rig.user_applies(PROCESSOR, "broad", storage=VOLUME, deletionPolicy="Retain")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    rig.cache.remove(CLAIM, {**rig.get(CLAIM, "kato-broad-memory"), "metadata": doomed_claim["metadata"]})
    stale = {**doomed_claim["metadata"], "resourceVersion": "999"}
    rig.cache.put(CLAIM, {**doomed_claim, "metadata": stale})
    await rig.rounds.sweep()
    assert is_kept(rig, VOLUME)
