"""What passes the schema and cannot work is said in the conditions soon, and heals when its cause goes."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.space import STARTED, Space, processor
from tests.support.cluster.cluster import Cluster
from tests.support.eventually import eventually

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tokens"}, "stringData": {"tokens": "sesame"}}
DEFAULT = "storageclass.kubernetes.io/is-default-class"
IMAGE_TROUBLES = {"ErrImagePull", "ImagePullBackOff"}
NO_IMAGE = "127.0.0.1:9/service:none"  # refused at once: how long a name is looked up is not ours to promise


def ephemeral(name: str, **spec: object) -> dict[str, Any]:
    """Return a processor that needs no volume."""
    return processor(name, storage={"embedded": {"ephemeral": True}}, **spec)


def waiting(space: Space, name: str) -> set[str]:
    """Return what the kubelet says of the containers of a processor that wait: how soon is not ours to promise."""
    statuses = [
        status
        for pod in space.listing("pods", f"kato.dev/processor={name}")
        for status in pod["status"].get("containerStatuses", [])
    ]
    return {status["state"]["waiting"]["reason"] for status in statuses if "waiting" in status["state"]}


def test_missing_secret(space: Space) -> None:
    space.apply(ephemeral("locked", auth={"tokensSecretRef": {"name": "tokens"}}))
    eventually(lambda: "CreateContainerConfigError" in waiting(space, "locked"), timeout=STARTED)
    condition = space.reaches("kproc/locked", "ConfigMissing")
    assert "tokens" in condition["message"]
    space.apply(SECRET)
    space.wait("kproc/locked")
    assert space.ask("POST", "http://kato-locked:8000/sessions", {"user_id": "a"})[0] == 401


def test_volume_that_does_not_bind(space: Space) -> None:
    space.apply(processor("unbound", storage={"embedded": {"size": "1Gi", "storageClassName": "nowhere"}}))
    condition = space.reaches("kproc/unbound", "VolumeNotBound")
    assert "kato-unbound-memory" in condition["message"]
    make_storage(space.cluster, "nowhere")
    try:
        space.wait("kproc/unbound")
    finally:
        space.cluster.kubectl("delete", "storageclass", "nowhere")


def make_storage(cluster: Cluster, name: str) -> None:
    """Make a storage class as the default one is; where nobody provisions volumes, give it one that is free."""
    classes = cluster.get("storageclasses")["items"]
    (default,) = [found for found in classes if found["metadata"].get("annotations", {}).get(DEFAULT) == "true"]
    cluster.apply({**default, "metadata": {"name": name}})
    for volume in cluster.get("persistentvolumes")["items"]:
        if volume["status"]["phase"] == "Available":
            patch = json.dumps({"spec": {"storageClassName": name}})
            cluster.kubectl("patch", "pv", volume["metadata"]["name"], "--type=merge", "--patch", patch)
            return


def test_image_that_does_not_exist(space: Space) -> None:
    space.apply(ephemeral("faceless", image=NO_IMAGE))
    eventually(lambda: IMAGE_TROUBLES & waiting(space, "faceless"), timeout=STARTED)
    condition = space.reaches("kproc/faceless", "ImagePullBackOff")
    assert NO_IMAGE in condition["message"]
    space.apply(ephemeral("faceless"))
    space.wait("kproc/faceless")


def test_name_taken_by_a_foreign_object(space: Space) -> None:
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kato-second"}, "data": {"mine": "yes"}}
    space.apply(foreign)
    space.apply(ephemeral("second"))
    conflict = space.reaches("kproc/second", "NameConflict", condition="Degraded", status="True")
    assert "kato-second" in conflict["message"]
    assert space.get("configmap/kato-second")["data"] == {"mine": "yes"}
    space.kubectl("delete", "configmap", "kato-second")
    space.wait("kproc/second")
    assert space.condition("kproc/second", "Degraded")["status"] == "False"


def test_a_bad_object_does_not_hold_up_a_good_one(space: Space) -> None:
    space.apply(ephemeral("bad", image=NO_IMAGE), ephemeral("good"))
    space.wait("kproc/good")
    eventually(lambda: IMAGE_TROUBLES & waiting(space, "bad"), timeout=STARTED)
    space.reaches("kproc/bad", "ImagePullBackOff")
