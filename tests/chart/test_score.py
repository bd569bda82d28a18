"""kube-score finds nothing in the chart but what is meant, and every exception here is one that it does find."""

from __future__ import annotations

import json
import subprocess
from functools import cache

import pytest

from tests.chart.rendering import SETS, render
from tests.support.cluster import parts

# Check -> why it is not heeded.
MEANT = {
    "container-resources": "no limit of CPU: it would only slow down what has none to share",
    "container-ephemeral-storage-request-and-limit": "root file systems are read-only, scratch space has its bound",
    "container-image-pull-policy": "images are pinned by their tags; `image.pullPolicy` is a value",
    "container-security-context-user-group-id": "the images' own users, never root; a platform may choose others",
    "pod-networkpolicy": "ingress alone is restricted: where stores and the API server are differs by cluster",
    "deployment-has-host-podantiaffinity": "who sets `affinity` sets it for every pod of the release",
    "deployment-replicas": "one replica with a Lease is enough for most; `replicas` is a value",
    "pod-probes-identical": "the stores are alive and ready by the same port, with more patience for the first",
    "statefulset-has-servicename": "one pod behind a Service of its own: no name of a pod is ever asked for",
}


@cache
def findings(name: str) -> set[tuple[str, str]]:
    """Return kind of object and check of all that kube-score would have otherwise, with policies in force."""
    score = parts.program("kube-score")
    rendered = render(name, "--set", "networkPolicy.enabled=true")
    words = [str(score), "score", "--output-format", "json", "--kubernetes-version", "v1.35", "-"]
    done = subprocess.run(words, input=rendered, capture_output=True, text=True, check=False)
    objects = json.loads(done.stdout)
    assert {"Deployment", "Job", "Pod", "NetworkPolicy"} <= {found["type_meta"]["kind"] for found in objects}, (
        done.stderr
    )
    return {
        (found["type_meta"]["kind"], check["check"]["id"])
        for found in objects
        for check in found["checks"]
        if not check["skipped"] and check["grade"] < 10
    }


@pytest.mark.parametrize("name", SETS)
def test_nothing_is_found_that_is_not_meant(name: str) -> None:
    assert {(kind, check) for kind, check in findings(name) if check not in MEANT} == set()


def test_every_exception_is_one() -> None:
    assert {check for name in SETS for _, check in findings(name)} == set(MEANT)
