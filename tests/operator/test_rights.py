"""What the operator may do is what it does: every verb that it asks for is granted, and every one granted is used.

One processor is led through its life under the operator's own service account; the API server's audit log is witness.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator

import pytest

from kato_operator.cluster.rules import BINDING_RULES, LEASE_RULES, RULES
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.local import LocalCluster
from tests.support.eventually import eventually
from tests.support.operator import audit
from tests.support.operator.faulty import Proxy
from tests.support.operator.process import ACCOUNT, OperatorProcess, leading
from tests.support.operator.space import PATIENCE, PROMISED, Space

# Nothing is ever asked of them: the processor is suspended.
STORES = {"mongodb": {"uriSecretRef": {"name": "stores"}}, "redis": {"urlSecretRef": {"name": "stores"}}}
SHARED = {"storage": {"external": STORES}, "deletionPolicy": "Delete"}


@pytest.fixture(scope="module")
def operator(cluster: Cluster, home: str, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    directory = tmp_path_factory.mktemp("operator")
    process = OperatorProcess(cluster, [home], directory, server=proxy.url, resync_seconds=2)
    with leading(process):
        yield process
        proxy.harm()


def live_a_life(space: Space) -> None:
    """Have the operator do all that it ever does for a processor and a session."""
    volume = {"embedded": {"size": "1Gi"}}
    space.processor("broad", storage=volume, deletionPolicy="Delete")
    space.ready("broad")
    space.session("brief", "broad", ttlSeconds=1, removeAfterExpirySeconds=1)
    eventually(lambda: space.find("ksess/brief") is None, timeout=PATIENCE)
    edit = json.dumps({"data": {"more": "eA=="}})
    space.kubectl("patch", "secret/kato-broad-internal", "--type=merge", "--patch", edit)
    eventually(lambda: "more" not in space.get("secret/kato-broad-internal")["data"], promised=PROMISED)
    space.kubectl("create", "serviceaccount", "own")
    space.processor("broad", storage=volume, deletionPolicy="Delete", serviceAccountName="own")
    eventually(lambda: space.find("serviceaccount/kato-broad") is None, promised=PROMISED)
    space.ready("broad")


def live_with_replicas(space: Space) -> None:
    """Have the operator do what it does for replicas alone: a budget, an autoscaler, a note on what is to go."""
    urls = ("--from-literal=uri=mongodb://127.0.0.1:1", "--from-literal=url=redis://127.0.0.1:1")
    space.kubectl("create", "secret", "generic", "stores", *urls)
    space.processor("wide", **SHARED, replicas=2, autoscaling={"maxReplicas": 3})
    for child in ("pdb/kato-wide", "hpa/kato-wide"):
        eventually(lambda child=child: space.find(child), promised=PROMISED)
    space.processor("wide", **SHARED, replicas=1, suspend=True)
    for child in ("pdb/kato-wide", "hpa/kato-wide"):
        eventually(lambda child=child: space.find(child) is None, promised=PROMISED)
    space.processor("wide", **SHARED | {"deletionPolicy": "Retain"}, suspend=True)
    eventually(lambda: space.find("configmap/kato-wide.memory") is None, promised=PROMISED)
    space.kubectl("delete", "kproc/wide")


def see_without_watches(space: Space, proxy: Proxy) -> None:
    """Change every kind while the watches show nothing: the resync finds it out, by reading object for object."""
    proxy.harm(mode="blind")
    space.session("quiet", "broad")
    metadata = {"name": "theirs", "namespace": space.namespace, "labels": {"kato.dev/processor": "broad"}}
    space.cluster.apply(*({**manifest, "metadata": metadata} for manifest in FOREIGN))


def mark(space: Space, value: str) -> None:
    """Change every kind by a label."""
    kinds = "kproc,deployments,services,configmaps,serviceaccounts,pvc,networkpolicies,pods,pdb,hpa"
    space.kubectl("label", kinds, "-l", "kato.dev/processor=broad", f"seen={value}", "--overwrite")
    space.kubectl("label", "kproc/broad", "ksess/quiet", f"seen={value}", "--overwrite")


FOREIGN = [
    {"apiVersion": "v1", "kind": "ServiceAccount"},
    {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}},
    },
    {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}},
    },
]


def test_every_right_is_used_and_none_is_missing(
    space: Space, proxy: Proxy, local_cluster: LocalCluster, record_property: Callable[[str, object], None]
) -> None:
    live_a_life(space)
    live_with_replicas(space)
    see_without_watches(space, proxy)
    account = f"system:serviceaccount:{space.namespace}:{ACCOUNT}"
    wanted = audit.granted(*RULES, *BINDING_RULES, *LEASE_RULES)

    def unused() -> set[audit.Grant]:
        return wanted - audit.used(audit.requests(local_cluster, user=account))

    numbers = itertools.count()

    def every_kind_was_read() -> bool:
        # Once more each time: what changed before Kopf, whose watches broke, had listed anew is news to no resync.
        mark(space, f"by-resync-{next(numbers)}")
        return "get" not in {verb for _, _, verb in unused()}

    try:
        eventually(every_kind_was_read, timeout=PATIENCE, interval=3)
    except AssertionError as error:
        raise AssertionError(f"never used: {sorted(unused())}") from error
    finally:
        proxy.harm()
    space.kubectl("delete", "kproc/broad", "ksess/quiet", f"--timeout={PATIENCE:.0f}s")
    eventually(lambda: not unused(), timeout=PATIENCE, interval=1)
    asked = list(audit.requests(local_cluster, user=account))
    assert audit.forbidden(asked) == []
    assert audit.used(asked) <= wanted
    record_property("what the operator asked of the API server", audit.described(audit.used(asked)))
