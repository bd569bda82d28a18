"""The walk of a KatoSession: waiting, bound, usable, expired, renewed, lost, withdrawn."""

from __future__ import annotations

import pytest

from kato_operator.desired.kinds import POD, PROCESSOR, SESSION
from kato_service.processor.observe import observe as processor_observe
from tests.support.operator.rig import NAMESPACE, Rig, restarted
from tests.support.processors import seen

IP = "10.0.0.1"


async def processor_runs(rig: Rig, **spec: object) -> None:
    rig.user_applies(PROCESSOR, "broad", **spec)
    await rig.settle()
    await rig.pod_runs("broad", IP)


async def session_applied(rig: Rig, name: str = "reader", **spec: object) -> str:
    """Apply a session and return its ID, if it has one."""
    rig.user_applies(SESSION, name, processorRef={"name": "broad"}, **spec)
    await rig.settle()
    return str(rig.get(SESSION, name)["status"].get("sessionId", ""))


async def declared(rig: Rig) -> set[str]:
    return {item.uid for item in await rig.pods.running[IP].declarations.state()}


async def observe(rig: Rig, session: str, *strings: str) -> None:
    await processor_observe(rig.pods.running[IP], session, seen(*strings))


def phase(rig: Rig, name: str = "reader") -> str:
    return str(rig.get(SESSION, name)["status"]["phase"])


async def test_a_session_waits_for_its_processor_and_binds_when_it_comes(rig: Rig) -> None:
    await session_applied(rig)
    assert phase(rig) == "Pending"
    assert rig.condition(SESSION, "reader", "Bound") == ("False", "ProcessorNotFound")
    rig.user_applies(PROCESSOR, "broad")
    await rig.settle()
    assert rig.condition(SESSION, "reader", "Bound") == ("False", "ProcessorNotReady")
    await rig.pod_runs("broad", IP)
    assert phase(rig) == "Active"
    assert rig.condition(SESSION, "reader", "Ready") == ("True", "Active")


async def test_the_status_tells_where_the_session_is_and_whose(rig: Rig) -> None:
    await processor_runs(rig)
    session = await session_applied(rig, ttlSeconds=60)
    status = rig.get(SESSION, "reader")["status"]
    assert status["userId"] == "reader"
    assert status["url"] == f"http://kato-broad.space.svc:8000/sessions/{session}"
    assert status["stmLength"] == 0
    assert status["expiresAt"] > status["createdAt"]
    found = await rig.pods.running[IP].sessions.find(session)
    assert found is not None
    assert (found.node, found.ttl_seconds) == ("reader", 60)


async def test_configuration_is_owned_key_by_key(rig: Rig) -> None:
    await processor_runs(rig)
    session = await session_applied(rig, config={"maxPredictions": 5, "recallThreshold": 0.5})
    await session_applied(rig, config={"maxPredictions": 6})
    found = await rig.pods.running[IP].sessions.find(session)
    assert found is not None
    assert found.config == {"max_predictions": 6}


async def test_counters_reach_the_status_within_35_s_and_no_oftener_than_every_30(rig: Rig) -> None:
    await processor_runs(rig)
    session = await session_applied(rig)
    await rig.forward(35)
    before = len([write for write in rig.cluster.writes if write.startswith("status KatoSession")])
    for number in range(1, 15):
        await observe(rig, session, f"symbol-{number}")
        await rig.forward(5)
    after = len([write for write in rig.cluster.writes if write.startswith("status KatoSession")])
    assert after - before <= 3
    await rig.forward(35)
    assert rig.get(SESSION, "reader")["status"]["stmLength"] == 14


async def test_expiry_is_noticed_within_2_s(rig: Rig) -> None:
    await processor_runs(rig)
    await session_applied(rig, ttlSeconds=10)
    await rig.forward(9)
    assert phase(rig) == "Active"
    await rig.forward(3)
    assert phase(rig) == "Expired"
    assert rig.condition(SESSION, "reader", "Expired") == ("True", "TimeToLiveOver")
    assert rig.condition(SESSION, "reader", "Ready") == ("False", "Expired")
    assert rig.events().count("TimeToLiveOver") == 1
    status = rig.get(SESSION, "reader")["status"]
    assert status["createdAt"] < status["expiresAt"]


async def test_a_session_that_is_used_lives_on(rig: Rig) -> None:
    await processor_runs(rig)
    session = await session_applied(rig, ttlSeconds=10)
    for _ in range(5):
        await rig.forward(8)
        await observe(rig, session, "a")
    assert phase(rig) == "Active"
    await rig.forward(12)
    assert phase(rig) == "Expired"


async def test_an_expired_session_stays_expired_over_restarts(rig: Rig) -> None:
    await processor_runs(rig)
    await session_applied(rig, ttlSeconds=10)
    await rig.forward(12)
    await rig.pods.start(IP)
    again = restarted(rig)
    await again.start()
    await again.forward(40)
    assert phase(again) == "Expired"


async def test_renew_puts_a_new_session_in_its_place(rig: Rig) -> None:
    await processor_runs(rig)
    before = await session_applied(rig, ttlSeconds=10, expiryPolicy="Renew")
    await rig.forward(12)
    status = rig.get(SESSION, "reader")["status"]
    assert status["phase"] == "Active"
    assert status["sessionId"] != before
    assert "SessionLost" not in rig.events()


async def test_an_expired_session_removes_itself_when_asked_to(rig: Rig) -> None:
    await processor_runs(rig)
    await session_applied(rig, ttlSeconds=10, removeAfterExpirySeconds=20)
    await rig.forward(25)
    assert phase(rig) == "Expired"
    await rig.forward(10)
    assert rig.find(SESSION, "reader") is None
    assert await declared(rig) == set()


async def test_deletion_withdraws_the_session(rig: Rig) -> None:
    await processor_runs(rig)
    session = await session_applied(rig)
    rig.cluster.remove(SESSION, NAMESPACE, "reader")
    await rig.settle()
    assert await declared(rig) == set()
    assert await rig.pods.running[IP].sessions.find(session) is None


async def test_a_deletion_that_no_one_saw_is_made_good(rig: Rig) -> None:
    await processor_runs(rig)
    await session_applied(rig)
    del rig.cluster.objects[SESSION, NAMESPACE, "reader"]
    await restarted(rig).start()
    assert await declared(rig) == set()


async def test_a_cache_that_lags_withdraws_nothing(rig: Rig) -> None:
    await processor_runs(rig)
    await session_applied(rig)
    rig.cache.remove(SESSION, rig.get(SESSION, "reader"))
    await rig.forward(40)
    assert len(await declared(rig)) == 1


async def test_a_session_lost_with_its_store_is_bound_anew_and_told(rig: Rig) -> None:
    await processor_runs(rig)
    before = await session_applied(rig)
    await rig.pods.start(IP)
    await rig.forward(31)
    status = rig.get(SESSION, "reader")["status"]
    assert (status["phase"], status["sessionId"] != before) == ("Active", True)
    assert rig.events().count("SessionLost") == 1


async def test_a_restart_of_the_pod_keeps_the_session(rig: Rig) -> None:
    await processor_runs(rig)
    session = await session_applied(rig)
    await rig.pod_ends("broad")
    assert rig.condition(SESSION, "reader", "Ready") == ("False", "ProcessorNotReady")
    assert phase(rig) == "Active"
    await rig.pod_runs("broad", IP, fresh=False)
    assert rig.get(SESSION, "reader")["status"]["sessionId"] == session
    assert rig.condition(SESSION, "reader", "Ready") == ("True", "Active")
    assert "SessionLost" not in rig.events()


async def test_a_session_expires_while_its_processor_is_suspended(rig: Rig) -> None:
    await processor_runs(rig)
    session = await session_applied(rig, ttlSeconds=60)
    await rig.forward(10)
    await processor_stops(rig, suspend=True)
    await rig.forward(55)
    assert phase(rig) == "Active"
    await rig.forward(7)
    assert phase(rig) == "Expired"
    assert rig.condition(SESSION, "reader", "Expired") == ("True", "TimeToLiveOver")
    assert rig.condition(SESSION, "reader", "Ready") == ("False", "Expired")
    rig.user_applies(PROCESSOR, "broad")
    await rig.settle()
    await rig.pod_runs("broad", IP, fresh=False)
    await rig.forward(31)
    assert (phase(rig), rig.get(SESSION, "reader")["status"]["sessionId"]) == ("Expired", session)


async def test_one_that_was_used_to_the_last_is_not_thought_expired(rig: Rig) -> None:
    await processor_runs(rig)
    session = await session_applied(rig, ttlSeconds=60)
    await rig.forward(50)
    await observe(rig, session, "a")
    await rig.pod_ends("broad")
    await rig.forward(55)
    assert phase(rig) == "Active"
    await rig.pod_runs("broad", IP, fresh=False)
    assert (phase(rig), rig.get(SESSION, "reader")["status"]["sessionId"]) == ("Active", session)
    assert "SessionLost" not in rig.events()


async def test_one_that_does_not_slide_expires_at_its_time(rig: Rig) -> None:
    fixed = {"autoExtend": False}
    await processor_runs(rig, sessions=fixed)
    await session_applied(rig, ttlSeconds=60)
    await rig.forward(50)
    await processor_stops(rig, sessions=fixed)
    await rig.forward(9)
    assert phase(rig) == "Active"
    await rig.forward(2)
    assert phase(rig) == "Expired"


async def processor_stops(rig: Rig, **spec: object) -> None:
    rig.user_applies(PROCESSOR, "broad", **spec)
    await rig.settle()
    await rig.pod_ends("broad")


async def test_a_session_that_names_no_processor_is_refused_and_ends_no_operator(rig: Rig) -> None:
    rig.user_applies(SESSION, "stray", processorRef=None)
    await restarted(rig).start()
    assert rig.condition(SESSION, "stray", "Bound") == ("False", "InvalidSpec")


async def test_a_session_falls_back_to_pending_when_its_processor_goes(rig: Rig) -> None:
    await processor_runs(rig)
    await session_applied(rig)
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    rig.cluster.remove(POD, NAMESPACE, "kato-broad-0")
    await rig.settle()
    assert phase(rig) == "Pending"
    assert rig.condition(SESSION, "reader", "Bound") == ("False", "ProcessorNotFound")
    assert "sessionId" not in rig.get(SESSION, "reader")["status"]


async def test_a_suspended_processor_says_so_in_its_sessions(rig: Rig) -> None:
    await processor_runs(rig)
    await session_applied(rig)
    rig.user_applies(PROCESSOR, "broad", suspend=True)
    await rig.settle()
    await rig.pod_ends("broad")
    assert rig.condition(SESSION, "reader", "Ready") == ("False", "ProcessorSuspended")


async def test_a_paused_session_is_left_alone(rig: Rig) -> None:
    rig.user_applies(SESSION, "reader", processorRef={"name": "broad"})
    rig.user_annotates(SESSION, "reader", {"kato.dev/paused": "true"})
    await processor_runs(rig)
    assert rig.condition(SESSION, "reader", "Ready") == ("Unknown", "Paused")
    assert await declared(rig) == set()
    rig.user_annotates(SESSION, "reader", {})
    await rig.settle()
    assert phase(rig) == "Active"


async def test_what_the_processor_refuses_is_told(rig: Rig) -> None:
    await processor_runs(rig)
    await session_applied(rig)
    await session_applied(rig, userId="other")
    assert rig.condition(SESSION, "reader", "Ready") == ("False", "RefusedByProcessor")
    assert phase(rig) == "Active"


async def test_a_silent_pod_is_asked_again(rig: Rig) -> None:
    await processor_runs(rig)
    rig.pods.silent.add(IP)
    await session_applied(rig)
    await rig.forward(31)
    assert rig.condition(SESSION, "reader", "Bound")[0] == "False"
    rig.pods.silent.clear()
    await rig.forward(4)
    assert phase(rig) == "Active"


async def test_a_silent_pod_is_asked_again_while_its_processor_is_paused(rig: Rig) -> None:
    await processor_runs(rig)
    await session_applied(rig, ttlSeconds=10)
    rig.user_annotates(PROCESSOR, "broad", {"kato.dev/paused": "true"})
    rig.pods.silent.add(IP)
    await rig.forward(12)
    assert rig.condition(SESSION, "reader", "Ready") == ("False", "ProcessorNotReady")
    rig.pods.silent.clear()
    await rig.forward(31)
    assert phase(rig) == "Expired"


@pytest.mark.parametrize("count", [50])
async def test_many_sessions_that_expire_together_cost_few_looks(rig: Rig, count: int) -> None:
    await processor_runs(rig)
    for number in range(count):
        await session_applied(rig, f"s{number}", ttlSeconds=20)
    before = rig.pods.asked
    await rig.forward(22)
    assert {phase(rig, f"s{number}") for number in range(count)} == {"Expired"}
    assert rig.pods.asked - before < 10
    writes = len(rig.cluster.writes)
    await rig.forward(120)
    assert len(rig.cluster.writes) - writes <= 4  # the processor's own count of sessions
