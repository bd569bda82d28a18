"""The storage of a local cluster: a default class `standard` and a few directories of the node as volumes.

`local` volumes, because `hostPath` ignores fsGroup. Nobody provisions or recycles them in Kubernetes, so the keeper
below does: it runs in the box beside the kubelet (`python -m tests.support.cluster.volumes RUN`), makes the volumes
that are missing, and takes away those whose claim is gone, emptied, so that they are made anew.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import httpx

from tests.support.cluster.api import Api, Json
from tests.support.cluster.control import NODE
from tests.support.cluster.errors import ClusterError

COUNT = 32
CAPACITY = "10Gi"
CLASS = "standard"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
VOLUMES = "/api/v1/persistentvolumes"
PAUSE = 0.5  # seconds between two looks


def storage_class() -> Json:
    """Return the default class; a claim of it may ask for more, as the operator's growth does."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }


def volume(name: str, directory: Path) -> Json:
    """Return the persistent volume over one directory of the node."""
    on_node = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": CAPACITY},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": str(directory)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [on_node]}},
        },
    }


def keep(api: Api, root: Path) -> None:
    """Bring the volumes one step nearer to what they should be: all there, none of them used up."""
    listed = api.get(VOLUMES) or {"items": []}
    phases = {item["metadata"]["name"]: item["status"].get("phase") for item in listed["items"]}
    for name in (f"local-{number:02}" for number in range(COUNT)):
        directory = root / name
        if name not in phases:
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            api.create(VOLUMES, volume(name, directory))
        elif phases[name] in ("Released", "Failed"):
            api.delete(f"{VOLUMES}/{name}")


def main(run: Path) -> None:
    """Keep the volumes of a run until the box closes. An API server that is away is waited for."""
    api = Api(run / "harness.conf")
    while True:
        try:
            api.create(CLASSES, storage_class())
            keep(api, run / "volumes")
        except (httpx.TransportError, ClusterError) as error:
            sys.stderr.write(f"again in {PAUSE} s: {error}\n")
        time.sleep(PAUSE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
