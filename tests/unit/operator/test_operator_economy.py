"""What the operator does not ask for and does not keep: the cost of each processor is what a fleet is slow by."""

from __future__ import annotations

from typing import Any

import pytest

from kato_operator.cluster.rest import _proxy_to
from kato_operator.desired.children import children as made
from kato_operator.desired.kinds import CONFIG_MAP, PROCESSOR, SERVICE
from kato_operator.handlers.stateless import NoDiffBase, NoProgress
from kato_operator.reconcile import children as building
from kato_operator.reconcile import world
from tests.support.operator.rig import NAMESPACE, Rig, restarted
from tests.support.operator.walk import ALWAYS, applied, children, running


async def test_children_are_made_without_asking_whether_they_are_there(rig: Rig) -> None:
    rig.cluster.reads.clear()
    await applied(rig)
    assert children(rig) == ALWAYS
    assert {what.split()[0] for what in rig.cluster.reads} == {"Secret"}


async def test_after_a_restart_secrets_alone_are_read_and_nothing_is_tried(rig: Rig) -> None:
    await applied(rig)
    rig.cluster.reads.clear()
    again = restarted(rig)
    await again.start()
    assert rig.cluster.reads == ["Secret kato-broad-internal"]
    assert rig.cluster.in_the_way == []


async def test_what_is_in_the_way_is_run_into_once(rig: Rig) -> None:
    theirs = rig.cluster.put(CONFIG_MAP, CONFIG_MAP.manifest({"name": "kato-broad", "namespace": NAMESPACE}))
    await applied(rig)
    await rig.forward(60)
    assert rig.cluster.in_the_way == ["ConfigMap kato-broad"]
    assert rig.get(CONFIG_MAP, "kato-broad") == theirs
    rig.cluster.remove(CONFIG_MAP, NAMESPACE, "kato-broad")
    await rig.forward(10)
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")


async def test_a_child_that_lost_its_label_is_found_again(rig: Rig) -> None:
    await applied(rig)
    bare = {"name": "kato-broad", "namespace": NAMESPACE, "labels": {}}
    seen_last = rig.get(CONFIG_MAP, "kato-broad")
    rig.cluster.put(CONFIG_MAP, {"metadata": bare})
    rig.feed.event(CONFIG_MAP, seen_last, gone=True)  # what a watch by label shows when the label is taken off
    await rig.settle()
    assert rig.get(CONFIG_MAP, "kato-broad")["metadata"]["labels"]["kato.dev/processor"] == "broad"


async def test_children_are_built_anew_only_when_they_or_what_is_asked_for_changed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(rig)
    built: list[str] = []
    monkeypatch.setattr(building, "children", lambda subject, claim: built.append(subject.name) or made(subject, claim))
    await rig.forward(600)
    await rig.rounds.resync()
    await rig.forward(31)
    assert built == []
    rig.cluster.put(CONFIG_MAP, {"metadata": {"name": "kato-broad", "namespace": NAMESPACE}, "data": {}})
    await rig.settle()
    assert built == ["broad"]
    assert rig.get(CONFIG_MAP, "kato-broad")["data"]
    rig.cluster.remove(CONFIG_MAP, NAMESPACE, "kato-broad")
    await applied(rig, port=9000)
    assert rig.get(CONFIG_MAP, "kato-broad")["data"]
    assert rig.get(SERVICE, "kato-broad")["spec"]["ports"][0]["port"] == 9000


class Untouchable(dict[str, Any]):
    """An object that must not be copied."""

    def __iter__(self) -> Any:  # noqa: ANN401 - it has none
        raise AssertionError("it was read")


def test_kopf_copies_no_object_and_finds_nothing_to_write() -> None:
    body: Any = Untouchable()
    base, progress = NoDiffBase(), NoProgress()
    essence = base.build(body=body)
    assert progress.clear(essence=essence) == essence == {}
    assert base.fetch(body=body) is None


@pytest.mark.parametrize(
    ("server", "proxy"),
    [("https://far.example:6443", "http://proxy:3128"), ("https://near.example", None), ("http://far.example", None)],
)
def test_a_proxy_of_the_environment_is_used_where_it_is_meant_to_be(
    monkeypatch: pytest.MonkeyPatch, server: str, proxy: str | None
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "near.example")
    assert _proxy_to(server) == proxy


async def test_the_pods_of_a_large_fleet_are_looked_at_more_seldom(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await running(rig)
    await rig.forward(60)
    monkeypatch.setattr(world, "LOOKS_PER_SECOND", 1 / 120)
    await rig.forward(120)
    asked = rig.pods.asked
    await rig.forward(3600)
    assert 3600 / 120 - 2 <= rig.pods.asked - asked <= 3600 / 120 + 1


async def test_reads_of_secrets_have_what_the_looks_of_a_large_fleet_leave(rig: Rig) -> None:
    assert world.read_seconds(rig.world) == 1 / 5
    for number in range(1000):
        metadata = {"name": f"p{number}", "namespace": NAMESPACE, "uid": f"u{number}", "resourceVersion": "1"}
        rig.cache.put(PROCESSOR, {"metadata": metadata})
    assert (world.look_seconds(rig.world), world.read_seconds(rig.world)) == (250, 1)


async def test_a_resync_of_a_large_fleet_leaves_processors_to_their_looks(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(rig)
    await rig.forward(60)
    await rig.rounds.resync()
    assert rig.queue.depth(rig.clock.monotonic()) == 1
    monkeypatch.setattr(world, "LOOKS_PER_SECOND", 1 / 120)
    await rig.forward(60)
    await rig.rounds.resync()
    assert rig.queue.depth(rig.clock.monotonic()) == 0
