"""Manifests of test pods: restricted, small, gone at once. Cluster tests build theirs on these."""

from __future__ import annotations

from typing import Any

from tests.support.cluster.cluster import Cluster
from tests.support.eventually import eventually

Json = dict[str, Any]
USER = 10001  # as in the project's images


def restricted_namespace(name: str) -> Json:
    """Return a namespace that admits only pods under the restricted profile."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def open_namespace(cluster: Cluster, name: str) -> None:
    """Make such a namespace, and wait until pods may be made in it."""
    cluster.apply(restricted_namespace(name))
    eventually(lambda: cluster.objects.find(name, "serviceaccount/default"), timeout=60)


def pod(namespace: str, name: str, image: str, command: list[str], **spec: object) -> Json:
    """Return a restricted pod with one container `main`; `spec` adds to the pod's spec."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    security = {"runAsNonRoot": True, "runAsUser": USER, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "containers": [container],
            "securityContext": security,
            "terminationGracePeriodSeconds": 0,
            **spec,
        },
    }


def with_volume(manifest: Json, claim: str, path: str, group: int) -> Json:
    """Return a pod that also mounts a claim at `path`, readable and writable by `group`."""
    spec = manifest["spec"]
    container = spec["containers"][0] | {"volumeMounts": [{"name": "data", "mountPath": path}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    security = spec["securityContext"] | {"fsGroup": group}
    return manifest | {"spec": spec | {"containers": [container], "volumes": volumes, "securityContext": security}}


def service(namespace: str, name: str, port: int) -> Json:
    """Return a Service in front of the pod of the same name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": port}]},
    }


def claim(namespace: str, name: str, size: str = "1Gi") -> Json:
    """Return a claim on the default storage class."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    }
