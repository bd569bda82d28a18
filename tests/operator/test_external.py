"""Processors on stores that replicas share, on a real cluster with a real Redis and what speaks MongoDB's protocol."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from kato_spec.keys import database_name, key_prefix
from tests.support.cluster.local import LocalCluster
from tests.support.eventually import eventually
from tests.support.operator.process import OperatorProcess
from tests.support.operator.rollouts import ROLLOUTS, pods
from tests.support.operator.space import PATIENCE, PROMISED, Json, Space
from tests.support.operator.stores import ClusterMongo, ClusterRedis

LOAD = Path(__file__).parents[1] / "e2e" / "load.py"
STORAGE = {"external": {"mongodb": {"uriSecretRef": {"name": "stores"}}, "redis": {"urlSecretRef": {"name": "stores"}}}}
SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
COUNTS = [len(ROLLOUTS), pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]


@dataclass
class Stores:
    """The stores of the tests of this file."""

    redis: ClusterRedis
    mongo: ClusterMongo


@pytest.fixture(scope="module")
def stores(local_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    directory = tmp_path_factory.mktemp("stores")
    made = Stores(ClusterRedis(local_cluster, directory / "redis"), ClusterMongo(local_cluster, directory / "mongo"))
    try:
        made.redis.start()
        made.mongo.start()
        yield made
    finally:
        made.redis.close()
        made.mongo.close()


@pytest.fixture(scope="module")
def shared(space: Space, stores: Stores) -> Space:
    """The namespace with the Secret that names the stores."""
    secret(space, uri=stores.mongo.url, url=stores.redis.url)
    return space


def secret(space: Space, **values: str) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": "stores", "namespace": space.namespace}
    space.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


def ask_pod(space: Space, pod: Json, method: str, path: str, body: object = None) -> Json:
    """Send a request to one pod, past the Service."""
    return space.ask_at(pod["status"]["podIP"], method, path, body)


@pytest.fixture(scope="module")
def twins(shared: Space) -> Space:
    """A processor of two pods on the stores."""
    shared.processor("twins", storage=STORAGE, replicas=2, deletionPolicy="Delete", resources=SMALL)
    shared.session("reader", "twins", userId="a")
    shared.ready("twins")
    return shared


def learn(space: Space, pod: Json, session: str, word: str) -> str:
    for strings in ([word, "x"], ["y"]):
        ask_pod(space, pod, "POST", f"/sessions/{session}/observe", {"strings": strings})
    return str(ask_pod(space, pod, "POST", f"/sessions/{session}/learn")["pattern_name"])


def predicted(space: Space, pod: Json, session: str, word: str) -> list[str]:
    ask_pod(space, pod, "POST", f"/sessions/{session}/clear-stm")
    ask_pod(space, pod, "POST", f"/sessions/{session}/observe", {"strings": [word, "x"]})
    found = ask_pod(space, pod, "GET", f"/sessions/{session}/predictions")["predictions"]
    return [prediction["name"] for prediction in found]


def test_what_one_pod_learns_the_other_predicts_in_the_declared_session(twins: Space) -> None:
    twins.reaches("ksess/reader", "Ready", "True", within=PATIENCE)
    session = twins.get("ksess/reader")["status"]["sessionId"]
    one, other = pods(twins, "twins")
    name = learn(twins, one, session, "first")
    assert predicted(twins, other, session, "first") == [name.removeprefix("PTRN|")]
    twins.reaches("kproc/twins", "ParametersLive", "True", within=PATIENCE)
    assert twins.get("kproc/twins")["status"]["storage"]["type"] == "External"


def test_parameters_are_live_on_every_pod_and_replace_none(
    twins: Space, record_property: Callable[[str, object], None]
) -> None:
    before = {pod["metadata"]["uid"] for pod in pods(twins, "twins")}
    session = twins.get("ksess/reader")["status"]["sessionId"]
    patch = json.dumps({"spec": {"displayName": "Twins", "parameters": {"maxPredictions": 7}}})
    twins.kubectl("patch", "kproc/twins", "--type=merge", "--patch", patch)
    began = monotonic()
    for pod in pods(twins, "twins"):
        eventually(
            lambda pod=pod: ask_pod(twins, pod, "GET", f"/sessions/{session}/config")["config"]["max_predictions"] == 7,
            promised=PROMISED,
            interval=0.02,
        )
    record_property("seconds until live on every pod", round(monotonic() - began, 3))
    eventually(lambda: is_live(twins), promised=PROMISED, interval=0.1)
    record_property("seconds until ParametersLive says so", round(monotonic() - began, 3))
    assert ask_pod(twins, pods(twins, "twins")[0], "GET", "/ping")["name"] == "Twins"
    assert {pod["metadata"]["uid"] for pod in pods(twins, "twins")} == before


def is_live(space: Space) -> bool:
    """Say whether ParametersLive is True for the generation that stands."""
    twins = space.get("kproc/twins")
    condition = next(one for one in twins["status"]["conditions"] if one["type"] == "ParametersLive")
    generation: int = twins["metadata"]["generation"]
    return (condition["status"], condition["observedGeneration"]) == ("True", generation)


@contextmanager
def load(space: Space, processor: str, user: str) -> Iterator[dict[str, Any]]:
    """Keep 8 clients busy that retry nothing; the dict holds their report when the block has ended."""
    address = space.get(f"service/kato-{processor}")["spec"]["clusterIP"]
    argv = space.cluster.command([sys.executable, str(LOAD), f"http://{address}:8000", user])
    report: dict[str, Any] = {}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as clients:
        assert clients.stdin is not None
        assert clients.stdout is not None
        assert clients.stdout.readline() == "started\n"
        try:
            yield report
        finally:
            clients.stdin.close()
            report |= json.loads(clients.stdout.read())


@pytest.mark.parametrize("count", COUNTS)
def test_replacing_pods_under_load_drops_no_request_and_loses_nothing(twins: Space, count: int) -> None:
    user = f"load-{count}"
    with load(twins, "twins", user) as report:
        for turn in range(count):
            ROLLOUTS[turn % len(ROLLOUTS)](twins, "twins", turn)
    assert report["failures"] == []
    assert report["answered"] > len(report["learned"]) > 0
    path, learned = f"/patterns?node_id={user}&limit=1", len(set(report["learned"]))
    # Whoever asks without a session may be answered by a pod that hears of the last ones a moment later.
    eventually(lambda: ask_pod(twins, pods(twins, "twins")[0], "GET", path)["total"] == learned, promised=PROMISED)


def test_a_store_that_is_away_is_named_until_it_is_back(twins: Space, stores: Stores) -> None:
    stores.redis.stop()
    twins.reaches("kproc/twins", "StoreReachable", "False", "StoreUnavailable", within=PATIENCE)
    twins.reaches("kproc/twins", "Ready", "False", "StoreUnavailable", within=PATIENCE)
    stores.redis.start()
    twins.reaches("kproc/twins", "StoreReachable", "True", within=PATIENCE)
    twins.ready("twins")


def test_a_database_that_another_processor_has_is_refused(twins: Space) -> None:
    mongodb = {"uriSecretRef": {"name": "stores"}, "database": database_name(twins.namespace, "twins")}
    twins.processor("thief", storage={"external": {**STORAGE["external"], "mongodb": mongodb}}, deletionPolicy="Delete")
    twins.reaches("kproc/thief", "Degraded", "True", "DatabaseTaken")
    assert twins.find("deployment/kato-thief") is None
    twins.kubectl("delete", "kproc/thief", "--timeout=60s")


def test_a_secret_without_its_key_is_said_and_heals_by_itself(shared: Space, stores: Stores) -> None:
    shared.kubectl("create", "secret", "generic", "halved", "--from-literal", f"uri={stores.mongo.url}")
    refs = {"mongodb": {"uriSecretRef": {"name": "halved"}}, "redis": {"urlSecretRef": {"name": "halved"}}}
    shared.processor("late", storage={"external": refs}, suspend=True)
    shared.reaches("kproc/late", "Degraded", "True", "SecretKeyNotFound")
    patch = json.dumps({"stringData": {"url": stores.redis.url}})
    shared.kubectl("patch", "secret/halved", "--type=merge", "--patch", patch)
    shared.reaches("kproc/late", "Degraded", "False")
    shared.kubectl("delete", "kproc/late", "secret/halved")


def test_delete_takes_keys_and_collections_along(twins: Space, stores: Stores) -> None:
    prefix, database = key_prefix(twins.namespace, "twins"), database_name(twins.namespace, "twins")
    assert stores.redis.keys(prefix) > 0
    assert "entry" in stores.mongo.collections(database)
    twins.kubectl("delete", "ksess/reader", "kproc/twins", f"--timeout={PATIENCE:.0f}s")
    assert stores.redis.keys(prefix) == 0
    assert stores.mongo.collections(database) == []


def test_stores_that_are_away_hold_nothing_up_and_the_sweep_follows(
    shared: Space, stores: Stores, operator: OperatorProcess
) -> None:
    operator.stop()
    operator.configure(cleanup_deadline_seconds=5, sweep_seconds=2)
    operator.start()
    shared.processor("left", storage=STORAGE, deletionPolicy="Delete", resources=SMALL)
    shared.ready("left")
    prefix, database = key_prefix(shared.namespace, "left"), database_name(shared.namespace, "left")
    stores.mongo.stop()
    shared.kubectl("delete", "kproc/left", "--timeout=60s")
    eventually(lambda: "MemoryLeft" in shared.events("left"), promised=PROMISED)
    assert shared.find("configmap/kato-left.memory")
    stores.mongo.start()
    eventually(lambda: shared.find("configmap/kato-left.memory") is None, timeout=PATIENCE)
    assert stores.redis.keys(prefix) == 0
    assert stores.mongo.collections(database) == []


def test_addresses_stand_in_no_log_event_or_status(shared: Space, stores: Stores, operator: OperatorProcess) -> None:
    shown = shared.kubectl("get", "kproc,configmaps,deployments,events.events.k8s.io", "-o", "yaml")
    for text in (shown, operator.log.read_text()):
        assert stores.redis.url not in text
        assert stores.mongo.url not in text
