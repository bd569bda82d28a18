"""How a processor goes, and what no crash, missed event or absence of the API server can change."""

from __future__ import annotations

import json

import pytest

from kato_operator.desired.kinds import (
    CLAIM,
    DEPLOYMENT,
    POD,
    PROCESSOR,
    ROLE_BINDING,
    SERVICE,
)
from kato_operator.reconcile.finalizers import is_held
from kato_operator.reconcile.ports import Refused
from kato_spec.errors import KatoError, Transient
from tests.support.operator.rig import BINDING, NAMESPACE, Rig, new_rig, restarted
from tests.support.operator.walk import ALWAYS, applied, children, running


async def test_children_of_an_earlier_processor_of_the_name_are_waited_for(rig: Rig) -> None:
    await applied(rig)
    old = rig.get(SERVICE, "kato-broad")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    rig.cluster.put(SERVICE, old)
    await applied(rig)
    assert rig.condition(PROCESSOR, "broad", "Progressing") == ("True", "WaitingForRemoval")
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")
    rig.cluster.remove(SERVICE, NAMESPACE, "kato-broad")
    await rig.settle()
    assert rig.find(DEPLOYMENT, "kato-broad")


async def test_a_processor_is_not_ready_by_the_deployment_of_an_earlier_one(rig: Rig) -> None:
    await running(rig)
    old = rig.get(DEPLOYMENT, "kato-broad")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    rig.cluster.put(DEPLOYMENT, old)  # its removal takes its time
    await applied(rig)
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "WaitingForRemoval")
    assert rig.get(PROCESSOR, "broad")["status"]["readyReplicas"] == 0


async def test_a_deployment_set_free_makes_no_processor_ready_that_cannot_be_made(rig: Rig) -> None:
    await running(rig)
    live = rig.get(DEPLOYMENT, "kato-broad")
    free = {key: value for key, value in live["metadata"].items() if key != "ownerReferences"}
    rig.cluster.objects[DEPLOYMENT, NAMESPACE, "kato-broad"] = {**live, "metadata": free}
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    rig = restarted(rig)
    await rig.start()
    missing = {"uriSecretRef": {"name": "no"}}
    await applied(rig, storage={"external": {"mongodb": missing, "redis": {"urlSecretRef": {"name": "no"}}}})
    assert rig.condition(PROCESSOR, "broad", "Degraded")[0] == "True"
    assert rig.condition(PROCESSOR, "broad", "Ready")[0] == "False"


async def test_children_that_were_set_free_are_taken_back(rig: Rig) -> None:
    await applied(rig)
    for kind, name in sorted(ALWAYS - {(CLAIM, "kato-broad-memory")}, key=str):
        live = rig.get(kind, name)
        metadata = {key: value for key, value in live["metadata"].items() if key != "ownerReferences"}
        rig.cluster.objects[kind, NAMESPACE, name] = {**live, "metadata": metadata}
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    rig = restarted(rig)
    await rig.start()
    await applied(rig)
    uid = rig.get(PROCESSOR, "broad")["metadata"]["uid"]
    assert rig.get(SERVICE, "kato-broad")["metadata"]["ownerReferences"][0]["uid"] == uid


async def test_the_memory_outlives_a_processor_that_retains_it(rig: Rig) -> None:
    await applied(rig)
    assert "finalizers" not in rig.get(PROCESSOR, "broad")["metadata"]
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    assert children(rig) == {(CLAIM, "kato-broad-memory")}
    claim = rig.get(CLAIM, "kato-broad-memory")
    await applied(rig)
    assert rig.get(CLAIM, "kato-broad-memory") == claim


async def test_the_memory_goes_before_a_processor_that_deletes_it(rig: Rig) -> None:
    await running(rig, deletionPolicy="Delete")
    assert rig.get(PROCESSOR, "broad")["metadata"]["finalizers"] == ["kato.dev/memory"]
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.forward(3)
    assert children(rig) == {(POD, "kato-broad-0")}
    assert rig.find(PROCESSOR, "broad") is None


async def test_a_paused_processor_goes_all_the_same(rig: Rig) -> None:
    await applied(rig, deletionPolicy="Delete")
    rig.user_annotates(PROCESSOR, "broad", {"kato.dev/paused": "true"})
    await rig.settle()
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.forward(3)
    assert rig.find(PROCESSOR, "broad") is None
    assert rig.find(CLAIM, "kato-broad-memory") is None


async def test_a_change_of_the_policy_moves_the_finalizer(rig: Rig) -> None:
    await applied(rig, deletionPolicy="Delete")
    await applied(rig, deletionPolicy="Retain")
    assert "finalizers" not in rig.get(PROCESSOR, "broad")["metadata"]


async def test_the_operator_s_rights_are_kept_for_as_long_as_memory_waits_for_its_removal(rig: Rig) -> None:
    bind(rig)
    await applied(rig)
    assert not is_held(rig.get(ROLE_BINDING, BINDING))
    await applied(rig, deletionPolicy="Delete")
    await running(rig, "strict", deletionPolicy="Delete")
    assert is_held(rig.get(ROLE_BINDING, BINDING))
    await applied(rig, deletionPolicy="Retain")
    assert is_held(rig.get(ROLE_BINDING, BINDING))
    rig.cluster.remove(PROCESSOR, NAMESPACE, "strict")
    await rig.forward(3)
    assert not is_held(rig.get(ROLE_BINDING, BINDING))


async def test_a_namespace_that_goes_takes_the_operator_s_rights_with_its_last_memory(rig: Rig) -> None:
    bind(rig)
    for name in ("broad", "strict"):
        await applied(rig, name, deletionPolicy="Delete")
    rig.cluster.remove(ROLE_BINDING, NAMESPACE, BINDING)
    rig = restarted(rig)
    await rig.start()
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.forward(3)
    assert rig.find(PROCESSOR, "broad") is None
    assert rig.find(ROLE_BINDING, BINDING)
    rig.cluster.remove(PROCESSOR, NAMESPACE, "strict")
    await rig.forward(3)
    assert rig.find(PROCESSOR, "strict") is None
    assert rig.find(ROLE_BINDING, BINDING) is None


async def test_a_binding_that_was_kept_in_vain_is_let_go_by_the_sweep(rig: Rig) -> None:
    bind(rig, finalizers=["theirs", "kato.dev/memory"])
    await rig.rounds.sweep()
    assert rig.get(ROLE_BINDING, BINDING)["metadata"]["finalizers"] == ["theirs"]


def bind(rig: Rig, **metadata: object) -> None:
    """Have the RoleBinding that gives the operator its rights."""
    rig.cluster.put(ROLE_BINDING, ROLE_BINDING.manifest({"name": BINDING, "namespace": NAMESPACE, **metadata}))


async def test_deletion_ends_when_the_memory_cannot_be_removed_and_the_sweep_removes_it(rig: Rig) -> None:
    await running(rig, deletionPolicy="Delete")
    key = ("PersistentVolumeClaim", "kato-broad-memory")
    rig.cluster.refusals[key] = Refused("DELETE claim", "Forbidden", "not now")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.forward(58)
    assert rig.find(PROCESSOR, "broad")
    await rig.forward(4)
    assert rig.find(PROCESSOR, "broad") is None
    assert "MemoryLeft" in rig.events()
    assert rig.find(CLAIM, "kato-broad-memory")
    del rig.cluster.refusals[key]
    await rig.rounds.sweep()
    assert rig.find(CLAIM, "kato-broad-memory") is None


async def test_a_deletion_that_waited_for_an_operator_is_tried_in_full(rig: Rig) -> None:
    await running(rig, deletionPolicy="Delete")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    rig.clock.seconds += 3600
    rig = restarted(rig)
    await rig.start()
    await rig.forward(3)
    assert rig.find(PROCESSOR, "broad") is None
    assert rig.find(CLAIM, "kato-broad-memory") is None
    assert "MemoryLeft" not in rig.events()


async def test_it_ends_all_the_same_when_nothing_can_be_removed(rig: Rig) -> None:
    await running(rig, deletionPolicy="Delete")
    rig.cluster.refusals["PersistentVolumeClaim", "kato-broad-memory"] = Refused("DELETE", "Forbidden", "not now")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    rig.clock.seconds += 3600
    rig = restarted(rig)
    await rig.start()
    await rig.forward(58)
    assert rig.find(PROCESSOR, "broad")
    await rig.forward(4)
    assert rig.find(PROCESSOR, "broad") is None
    assert "MemoryLeft" in rig.events()


@pytest.mark.parametrize("error", [Refused("DELETE", "Forbidden", "not now"), Transient("500")], ids=type)
async def test_memory_that_cannot_be_removed_does_not_keep_the_sweep_from_the_rest(rig: Rig, error: KatoError) -> None:
    for name in ("broad", "strict"):
        await applied(rig, name, deletionPolicy="Delete")
        rig.cluster.objects[PROCESSOR, NAMESPACE, name]["metadata"].pop("finalizers")
        rig.cluster.remove(PROCESSOR, NAMESPACE, name)
    rig.cluster.refusals["PersistentVolumeClaim", "kato-broad-memory"] = error
    await rig.rounds.sweep()
    assert rig.find(CLAIM, "kato-broad-memory")
    assert rig.find(CLAIM, "kato-strict-memory") is None


async def test_the_sweep_leaves_retained_memory(rig: Rig) -> None:
    await applied(rig)
    await rig.rounds.sweep()
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    await rig.rounds.sweep()
    assert rig.find(CLAIM, "kato-broad-memory")


async def test_an_api_server_that_is_away_costs_nothing_but_time(rig: Rig) -> None:
    rig.cluster.away = True
    rig.user_applies(PROCESSOR, "broad")
    await rig.settle()
    assert children(rig) == set()
    rig.cluster.away = False
    await rig.forward(31)
    assert children(rig) == ALWAYS


async def test_a_missed_event_is_made_good_by_the_resync(rig: Rig) -> None:
    await running(rig)
    listener, rig.cluster.listener = rig.cluster.listener, lambda kind, manifest, gone: None
    rig.cluster.remove(SERVICE, NAMESPACE, "kato-broad")
    rig.user_applies(PROCESSOR, "strict")
    await rig.settle()
    assert rig.find(SERVICE, "kato-broad") is None
    rig.cluster.listener = listener
    await rig.rounds.resync()
    await rig.settle()
    assert rig.find(SERVICE, "kato-broad")
    assert rig.find(SERVICE, "kato-strict")


async def test_what_went_while_a_watch_was_broken_off_is_noticed_when_it_begins_anew(rig: Rig) -> None:
    await running(rig)
    listener, rig.cluster.listener = rig.cluster.listener, lambda kind, manifest, gone: None
    rig.cluster.remove(SERVICE, NAMESPACE, "kato-broad")
    rig.cluster.listener = listener
    rig.feed.event(PROCESSOR, rig.get(PROCESSOR, "broad"), gone=False, listed=True)
    rig.cluster.away = True
    with pytest.raises(Transient):
        await rig.rounds.catch_up()
    assert rig.find(SERVICE, "kato-broad") is None
    rig.cluster.away = False
    await rig.rounds.catch_up()
    await rig.settle()
    assert rig.find(SERVICE, "kato-broad")
    assert not rig.feed.listed


async def test_a_crash_at_any_write_converges_to_the_same_state() -> None:
    whole = new_rig()
    bind(whole)
    await whole.start()
    await running(whole, deletionPolicy="Delete")
    wanted = shape(whole)
    for number in range(len(whole.cluster.writes)):
        rig = new_rig()
        bind(rig)
        await rig.start()
        rig.cluster.crash_at = number
        rig.user_applies(PROCESSOR, "broad", deletionPolicy="Delete")
        crashed = await rig.dies()
        rig.cluster.crash_at = None
        assert is_held(rig.get(ROLE_BINDING, BINDING)) or not is_held(rig.get(PROCESSOR, "broad"))
        rig = restarted(rig)
        await rig.start()
        await rig.pod_runs("broad")
        assert shape(rig) == wanted, f"after a crash at write {number}"
        assert crashed or number > 0
        await rig.pods.stop()
    await whole.pods.stop()


def shape(rig: Rig) -> dict[tuple[str, str], object]:
    """Return everything that matters of the cluster: no tokens, no versions, no times."""
    found: dict[tuple[str, str], object] = {}
    for (kind, _, name), item in rig.cluster.objects.items():
        conditions = item.get("status", {}).get("conditions", [])
        facts = [(entry["type"], entry["status"], entry.get("reason")) for entry in conditions]
        spec = json.loads(json.dumps(item.get("spec", {})))
        spec.get("template", {}).pop("metadata", None)
        found[kind.name, name] = (spec, facts, item["metadata"].get("finalizers"))
    return found
