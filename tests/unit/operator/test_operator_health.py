"""Health, metrics, the fence, and what the answers of the API server mean."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from kato_operator.cluster.errors import error_of
from kato_operator.desired.kinds import POD, PROCESSOR, SESSION, WATCHED
from kato_operator.reconcile.cache import Cache
from kato_operator.reconcile.fence import Fence, NotLeader
from kato_operator.reconcile.ports import Conflict, Key, PodAddress, Refused, StoreAway
from kato_operator.reconcile.queue import WorkQueue
from kato_operator.sessions.internal import refusal
from kato_operator.telemetry.metrics import LAG_LIMIT, Telemetry
from kato_spec.errors import Transient
from tests.support.operator.clock import HeldClock
from tests.support.operator.rig import Rig
from tests.support.operator.walk import applied, running

LIMIT = 900.0


class Bench:
    """What the health is made of, on a clock that stands."""

    def __init__(self) -> None:
        self.clock, self.queue, self.cache = HeldClock(), WorkQueue(lambda: 1.0), Cache()
        self.telemetry = Telemetry(self.queue, self.cache, self.clock.monotonic, watch_limit=LIMIT)
        self.telemetry.leader = True
        for kind in WATCHED:
            self.telemetry.proven(kind)


def test_a_watch_that_is_too_old_is_a_sickness_by_name() -> None:
    bench = Bench()
    bench.clock.forward(LIMIT)
    assert bench.telemetry.sickness() is None
    bench.clock.forward(1)
    for kind in WATCHED:
        if kind is not POD:
            bench.telemetry.proven(kind)
    assert bench.telemetry.sickness() == "nothing was seen for more than 900 s of pods"
    bench.telemetry.proven(POD)
    assert bench.telemetry.sickness() is None


def test_a_queue_that_stands_is_a_sickness_and_a_standby_has_none() -> None:
    bench = Bench()
    bench.queue.add(Key("KatoProcessor", "n", "p"), bench.clock.monotonic())
    bench.clock.forward(LAG_LIMIT)
    assert bench.telemetry.sickness() is None
    bench.clock.forward(1)
    assert bench.telemetry.sickness() == "the queue has not moved for 121 s"
    bench.telemetry.leader = False
    assert bench.telemetry.sickness() is None


async def test_objects_are_counted_by_phase(rig: Rig) -> None:
    telemetry = Telemetry(rig.queue, rig.cache, rig.clock.monotonic, watch_limit=LIMIT)
    await running(rig)
    await applied(rig, "asleep", suspend=True)
    rig.user_applies(SESSION, "reader", processorRef={"name": "broad"})
    rig.user_applies(SESSION, "early", processorRef={"name": "late"})
    await rig.settle()
    text = generate_latest(telemetry.registry).decode()
    for series in (
        'kato_operator_objects{kind="KatoProcessor",phase="Ready"} 1.0',
        'kato_operator_objects{kind="KatoProcessor",phase="Suspended"} 1.0',
        'kato_operator_objects{kind="KatoSession",phase="Active"} 1.0',
        'kato_operator_objects{kind="KatoSession",phase="Pending"} 1.0',
    ):
        assert series in text.splitlines()


async def test_a_processor_counts_within_35_s_and_no_oftener_than_every_30(rig: Rig) -> None:
    await running(rig)
    pod = rig.pods.running["10.0.0.1"]
    for number in range(6):
        rig.user_applies(SESSION, f"reader-{number}", processorRef={"name": "broad"})
        await rig.settle()
        await rig.forward(5)
    await rig.forward(35)
    assert rig.get(PROCESSOR, "broad")["status"]["activeSessions"] == (await pod.state()).active_sessions == 6
    assert rig.cluster.writes.count("status KatoProcessor broad") <= 2 + 65 // 30


async def test_no_token_is_told_to_anyone(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    await running(rig, auth={"tokensSecretRef": {"name": "tokens"}})
    rig.pods.silent.add("10.0.0.1")
    await rig.forward(120)
    (token,) = rig.world.tokens.values()
    told = [str(item) for (kind, _, _), item in rig.cluster.objects.items() if kind.name != "Secret"]
    told += [happening.note for happening in rig.cluster.happenings]
    told += list(capsys.readouterr())
    assert not [text for text in told if token in text]


def test_nothing_is_written_that_might_end_after_the_lease() -> None:
    clock = HeldClock()
    fence = Fence(clock.monotonic, margin=1)
    with pytest.raises(NotLeader):
        fence.time_left()
    fence.extend(clock.monotonic() + 10)
    assert fence.time_left() == 9
    clock.forward(9)
    with pytest.raises(NotLeader):
        fence.time_left()
    fence.extend(clock.monotonic() + 10)
    fence.close()
    with pytest.raises(NotLeader):
        fence.time_left()


@pytest.mark.parametrize(
    ("status", "answer", "kind", "said"),
    [
        (409, {"message": "changed"}, Conflict, "changed"),
        (429, {"message": "slow down"}, Transient, "429 slow down"),
        (500, {}, Transient, "500 Internal Server Error"),
        (404, {"message": "gone"}, Transient, "404 gone"),
        (422, {"reason": "Invalid", "message": "spec.x: bad"}, Refused, "spec.x: bad"),
        (403, {"reason": "Forbidden", "message": "exceeded quota: q"}, Refused, "exceeded quota: q"),
    ],
)
def test_what_an_answer_means(status: int, answer: dict[str, str], kind: type[Exception], said: str) -> None:
    error = error_of(status, "PATCH /x", answer, None)
    assert type(error) is kind
    assert said in str(error)


def test_the_reason_of_a_refusal_and_the_wait_that_is_asked_for() -> None:
    reasons = {"exceeded quota: q": "QuotaExceeded", "no": "Forbidden"}
    for message, reason in reasons.items():
        refused = error_of(403, "x", {"reason": "Forbidden", "message": message}, None)
        assert isinstance(refused, Refused)
        assert refused.reason == reason
    waits = [error_of(429, "x", {}, header) for header in ("7", None, "Thu, 01 Jan 2026 00:00:00 GMT")]
    assert [error.retry_after for error in waits if isinstance(error, Transient)] == [7.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("said", "store"),
    [("Redis: connecting to hidden:6379", "Redis"), ("MongoDB: hidden:27017", "MongoDB"), ("hidden", "its store")],
)
def test_a_pod_without_its_store_is_told_apart_and_no_address_is_repeated(said: str, store: str) -> None:
    answer = f'{{"detail":"{said}","error":{{"code":"STORE_UNAVAILABLE"}}}}'
    error = refusal(PodAddress("pod", "uid", "10.0.0.1", "token"), 503, answer)
    assert isinstance(error, StoreAway)
    assert error.store == store
    assert "hidden" not in str(error)


def test_a_pod_that_still_loads_has_its_store() -> None:
    error = refusal(PodAddress("pod", "uid", "10.0.0.1", "token"), 503, '{"error":{"code":"LOADING"}}')
    assert not isinstance(error, StoreAway)
