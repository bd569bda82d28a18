"""Events are told on transitions: once, whatever fails or breaks off on the way."""

from __future__ import annotations

import pytest

from kato_operator.desired.kinds import PROCESSOR, SESSION
from kato_operator.reconcile.ports import Refused
from kato_spec.errors import Transient
from tests.support.operator.fake_cluster import Crash
from tests.support.operator.rig import Rig, restarted
from tests.support.operator.walk import applied, running

IP = "10.0.0.1"


async def bound(rig: Rig) -> str:
    """Have a session on a running processor, and return its ID."""
    await running(rig)
    rig.user_applies(SESSION, "reader", processorRef={"name": "broad"})
    await rig.settle()
    return str(rig.get(SESSION, "reader")["status"]["sessionId"])


async def test_an_event_that_fails_for_now_is_told_later(rig: Rig) -> None:
    await running(rig)
    rig.cluster.refusals["Event", "PodsNotReady"] = Transient("429")
    await rig.pod_ends("broad")
    rig.cluster.refusals.clear()
    await rig.forward(10)
    assert rig.events() == ["Ready", "PodsNotReady"]
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "PodsNotReady")


@pytest.mark.parametrize("write", [0, 1], ids=["before-event", "before-status"])
async def test_a_crash_beside_an_event_loses_and_doubles_nothing(rig: Rig, write: int) -> None:
    await running(rig)
    rig.cluster.crash_at = len(rig.cluster.writes) + write
    with pytest.raises(Crash):
        await rig.pod_ends("broad")
    rig.cluster.crash_at = None
    rig = restarted(rig)
    await rig.start()
    assert rig.events() == ["Ready", "PodsNotReady"]
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "PodsNotReady")


async def test_an_event_that_is_never_taken_holds_no_status_up(rig: Rig) -> None:
    rig.cluster.refusals["Event", "InvalidSpec"] = Refused("POST", "Forbidden", "the namespace is being terminated")
    await applied(rig, replicas=3)
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", "InvalidSpec")
    assert rig.events() == []


async def test_a_session_whose_loss_cannot_be_told_for_now_is_told_of_later(rig: Rig) -> None:
    lost = await bound(rig)
    rig.cluster.refusals["Event", "SessionLost"] = Transient("500")
    await rig.pods.start(IP)
    await rig.forward(31)
    rig.cluster.refusals.clear()
    await rig.forward(60)
    (told,) = [happening for happening in rig.cluster.happenings if happening.reason == "SessionLost"]
    assert lost in told.note
    assert rig.get(SESSION, "reader")["status"]["sessionId"] in told.note


@pytest.mark.parametrize("write", [0, 1], ids=["before-event", "before-status"])
async def test_a_crash_beside_the_loss_of_a_session_is_made_good(rig: Rig, write: int) -> None:
    await bound(rig)
    await rig.pods.start(IP)
    rig = restarted(rig)
    rig.cluster.crash_at = len(rig.cluster.writes) + write
    with pytest.raises(Crash):
        await rig.start()
    rig.cluster.crash_at = None
    rig = restarted(rig)
    await rig.start()
    await rig.forward(31)
    assert rig.events().count("SessionLost") == 1
