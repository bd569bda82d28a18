"""Processors to make manifests of: with every field of the spec, and with stores that replicas share."""

from __future__ import annotations

from typing import Any

from kato_operator.desired.storage import resolve
from kato_operator.desired.subject import Subject
from kato_spec.manifests import validate
from kato_spec.processor import KatoProcessor

EVERYTHING: dict[str, Any] = {
    "image": "mine:1",
    "imagePullPolicy": "Never",
    "imagePullSecrets": [{"name": "pull"}],
    "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
    "env": [{"name": "TZ", "value": "UTC"}],
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]
            }
        }
    },
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    "podAnnotations": {"note": "1"},
    "podLabels": {"team": "x", "kato.dev/processor": "other"},
    "priorityClassName": "high",
    "serviceAccountName": "own",
    "serviceType": "NodePort",
    "serviceAnnotations": {"a": "b"},
    "auth": {"tokensSecretRef": {"name": "tokens"}},
}


SHARED: dict[str, Any] = {
    "replicas": 2,
    "storage": {
        "external": {"mongodb": {"uriSecretRef": {"name": "m"}}, "redis": {"urlSecretRef": {"name": "r"}}},
    },
    "autoscaling": {"maxReplicas": 5},
}


def subject(namespace: str = "space", name: str = "p", **spec: object) -> Subject:
    document = {"apiVersion": "kato.dev/v1alpha1", "kind": "KatoProcessor", "metadata": {"name": name}, "spec": spec}
    processor = validate(document)
    assert isinstance(processor, KatoProcessor)
    return Subject(
        processor, namespace, "uid", 1, resolve(processor, namespace, None), "kato-service:1", "secret-token"
    )
