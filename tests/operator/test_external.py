"""Processors on stores that replicas share, on a real cluster with a real Redis and what speaks MongoDB's protocol."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from kato_spec.keys import database_name, key_prefix
from tests.support.cluster.local import LocalCluster
from tests.support.eventually import eventually
from tests.support.learning import acknowledged, known
from tests.support.operator.process import OperatorProcess
from tests.support.operator.rollouts import ROLLOUTS, pods
from tests.support.operator.space import COUNTED, PATIENCE, PROMISED, Json, Space
from tests.support.operator.stores import Stores, running_stores

LOAD = Path(__file__).parents[1] / "e2e" / "load.py"
STORAGE = {"external": {"mongodb": {"uriSecretRef": {"name": "stores"}}, "redis": {"urlSecretRef": {"name": "stores"}}}}
SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
LIVE = 2.0  # a change of parameters on every pod, in seconds
COUNTS = [len(ROLLOUTS), pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]


@pytest.fixture(scope="module")
def stores(local_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with running_stores(local_cluster, tmp_path_factory.mktemp("stores")) as stores:
        yield stores


@pytest.fixture(scope="module")
def shared(space: Space, stores: Stores) -> Space:
    """The namespace with the Secret that names the stores."""
    space.cluster.apply(stores.secret(space.namespace))
    return space


def ask_pod(space: Space, pod: Json, method: str, path: str, body: object = None) -> Json:
    """Send a request to one pod, past the Service."""
    return space.ask_at(pod["status"]["podIP"], method, path, body)


@pytest.fixture(scope="module")
def twins(shared: Space) -> Space:
    """A processor of two pods on the stores."""
    shared.processor("twins", storage=STORAGE, replicas=2, deletionPolicy="Delete", resources=SMALL)
    shared.session("reader", "twins", userId="a", config={"recallThreshold": 0.5})
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
    heads, values = twins.kubectl("get", "kproc", "twins").splitlines()
    assert values[heads.index("STORAGE") :].split()[0] == "External"


def test_parameters_are_live_on_every_pod_and_replace_none(
    twins: Space, record_property: Callable[[str, object], None]
) -> None:
    before = {pod["metadata"]["uid"] for pod in pods(twins, "twins")}
    session = twins.get("ksess/reader")["status"]["sessionId"]
    ask_pod(twins, pods(twins, "twins")[0], "PUT", f"/sessions/{session}/config", {"persistence": 9})
    parameters = {"maxPredictions": 7, "recallThreshold": 0.3, "persistence": 8}
    spec = {"displayName": "Twins", "parameters": parameters, "sessions": {"ttlSeconds": 1234}}
    twins.kubectl("patch", "kproc/twins", "--type=merge", "--patch", json.dumps({"spec": spec}))
    began = monotonic()
    for pod in pods(twins, "twins"):
        eventually(lambda pod=pod: settings(twins, pod, session)[0] == 7, promised=LIVE, interval=0.02)
    record_property("seconds until live on every pod", round(monotonic() - began, 3))
    eventually(lambda: is_live(twins), promised=LIVE, interval=0.1)
    record_property("seconds until ParametersLive says so", round(monotonic() - began, 3))
    for pod in pods(twins, "twins"):
        assert settings(twins, pod, session) == (7, 0.5, 9)  # what its manifest and its user set is its own
        made = ask_pod(twins, pod, "POST", "/sessions", {"user_id": "b"})
        assert (made["ttl_seconds"], made["session_config"]["recall_threshold"]) == (1234, 0.3)
        assert ask_pod(twins, pod, "GET", "/ping")["name"] == "Twins"
    assert {pod["metadata"]["uid"] for pod in pods(twins, "twins")} == before


def settings(space: Space, pod: Json, session: str) -> tuple[object, ...]:
    """Return of a session, as one pod has it: the processor's maximum, its manifest's threshold, its user's window."""
    found = ask_pod(space, pod, "GET", f"/sessions/{session}/config")["config"]
    return found["max_predictions"], found["recall_threshold"], found["persistence"]


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
    wanted = acknowledged(report["learned"])

    def knows(pod: Json) -> bool:
        return known(lambda path: ask_pod(twins, pod, "GET", path), user) == wanted

    # Whoever asks without a session may be answered by a pod that hears of the last ones a moment later.
    for pod in pods(twins, "twins"):
        eventually(lambda pod=pod: knows(pod), promised=PROMISED)
    twins.kubectl("scale", "kproc/twins", "--replicas=3")  # who comes now knows it by the stores alone
    eventually(lambda: twins.get("kproc/twins")["status"]["readyReplicas"] == 3, timeout=PATIENCE)
    assert all(map(knows, pods(twins, "twins")))
    twins.kubectl("scale", "kproc/twins", "--replicas=2")


def test_a_declared_sessions_memory_is_counted(twins: Space) -> None:
    eventually(lambda: twins.get("ksess/reader")["status"]["stmLength"] == 1, promised=COUNTED, interval=1)


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


SHOWN = (
    "kproc,ksess,configmaps,deployments,replicasets,pods,services,serviceaccounts,networkpolicies,pdb,"
    "events,events.events.k8s.io"
)


def test_secrets_stand_in_no_object_and_no_log(twins: Space, stores: Stores, operator: OperatorProcess) -> None:
    """After a store was away, of which pods and operator tell much; `late` has one whose address is no good."""
    bad = "http://:of-nobody@127.0.0.1"
    values = (f"--from-literal=uri={stores.mongo.url}", f"--from-literal=url={bad}")
    twins.kubectl("create", "secret", "generic", "bad", *values)
    refs = {"mongodb": {"uriSecretRef": {"name": "bad"}}, "redis": {"urlSecretRef": {"name": "bad"}}}
    twins.processor("late", storage={"external": refs}, suspend=True)
    twins.reaches("kproc/late", "Degraded", "True", "SecretInvalid")
    token = twins.get("secret/kato-twins-internal")["data"]["token"]
    hidden = [stores.redis.password, stores.mongo.password, "of-nobody", base64.b64decode(token).decode()]
    hidden += [token, *(base64.b64encode(url.encode()).decode() for url in (stores.redis.url, stores.mongo.url, bad))]
    places = {
        "objects": twins.kubectl("get", SHOWN, "-o", "yaml", "--show-managed-fields"),
        "pods": twins.kubectl("logs", "--selector", "kato.dev/processor=twins", "--tail=-1"),
        "operator": operator.log.read_text(),
    }
    assert twins.kubectl("get", "events.events.k8s.io", "-o", "name")
    for place, word in (("objects", "kato-twins-internal"), ("pods", "Redis"), ("operator", "twins")):
        assert word in places[place], place  # that is the text of what is looked through
    assert [(place, word) for place, text in places.items() for word in hidden if word in text] == []
    twins.kubectl("delete", "kproc/late", "secret/bad")


def test_delete_takes_keys_and_collections_along(twins: Space, stores: Stores) -> None:
    prefix, database = key_prefix(twins.namespace, "twins"), database_name(twins.namespace, "twins")
    assert stores.redis.keys(prefix) > 0
    assert "entry" in stores.mongo.collections(database)
    twins.kubectl("delete", "ksess/reader", "kproc/twins", f"--timeout={PATIENCE:.0f}s")
    assert stores.redis.keys(prefix) == 0
    assert stores.mongo.collections(database) == []


def test_a_memory_that_is_kept_is_found_again(shared: Space, stores: Stores) -> None:
    shared.processor("left", storage=STORAGE, resources=SMALL)
    shared.ready("left")
    asked = teach(shared, "left")
    shared.kubectl("delete", "kproc/left")
    database = database_name(shared.namespace, "left")
    eventually(lambda: shared.find("deployment/kato-left") is None, timeout=PATIENCE)
    assert "entry" in stores.mongo.collections(database)
    shared.processor("left", storage=STORAGE, deletionPolicy="Delete", resources=SMALL)
    shared.ready("left")
    assert teach(shared, "left") == asked | {"frequency": 2}


def teach(space: Space, processor: str) -> Json:
    """Have a processor learn one sequence; return the pattern as it knows it then."""
    pod = space.pod(processor)
    session = ask_pod(space, pod, "POST", "/sessions", {"user_id": "c"})["session_id"]
    name = learn(space, pod, session, "kept").removeprefix("PTRN|")
    found: Json = ask_pod(space, pod, "GET", f"/pattern/{name}?node_id=c")["pattern"]["pattern"]
    return found


def test_stores_that_are_away_hold_nothing_up_and_the_sweep_follows(
    shared: Space, stores: Stores, operator: OperatorProcess
) -> None:
    """Suspended processors have no pod that could keep something in its store: only the stores are to blame."""
    operator.stop()
    operator.configure(cleanup_deadline_seconds=5, sweep_seconds=2)
    operator.start()
    for name in ("left", "lost"):
        shared.processor(name, storage=STORAGE, deletionPolicy="Delete", resources=SMALL, suspend=True)
    eventually(lambda: shared.find("configmap/kato-lost.memory"), promised=PROMISED)
    eventually(lambda: not shared.listing("pods", "kato.dev/processor in (left, lost)"), timeout=PATIENCE)
    database, prefix = database_name(shared.namespace, "left"), key_prefix(shared.namespace, "lost")
    stores.mongo.stop()
    shared.kubectl("delete", "kproc/left", "--timeout=60s")
    left(shared, "left", f"MongoDB database {database}")
    stores.mongo.start()
    stores.redis.stop()
    shared.kubectl("delete", "kproc/lost", "--timeout=60s")
    left(shared, "lost", f"Redis keys {prefix}*")
    stores.redis.start()
    for name in ("left", "lost"):
        eventually(lambda name=name: shared.find(f"configmap/kato-{name}.memory") is None, timeout=PATIENCE)
        assert stores.redis.keys(key_prefix(shared.namespace, name)) == 0
        assert stores.mongo.collections(database_name(shared.namespace, name)) == []


def left(space: Space, processor: str, store: str) -> None:
    """See that the Event about a deleted processor names what a store that is away has left; its note is there still.

    The last try may be too short for the other store as well.
    """

    def notes() -> list[str]:
        about = space.listing("events.events.k8s.io")
        return [
            item["note"] for item in about if (item["reason"], item["regarding"]["name"]) == ("MemoryLeft", processor)
        ]

    (note,) = eventually(notes, promised=PROMISED)
    assert space.find(f"configmap/kato-{processor}.memory")
    said, _, rest = note.partition(" and left for the sweep: ")
    assert said == "not removed within 5 s"
    parts = rest.split("; ")
    assert store in [part.partition(" (")[0] for part in parts]
    assert [part for part in parts if not part.startswith(store) and "(no answer in " not in part] == []
