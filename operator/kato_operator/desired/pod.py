"""The pod template of a processor: the `restricted` profile, probes, volumes and the environment of the service.

Called by `children`. Nothing that `spec.parameters` or `spec.sessions` say may reach it: a change of those rolls no
pod (spec: operator.md, KatoProcessor). What is empty is written out where another hand could fill it in.
"""

from __future__ import annotations

from typing import Final

from kato_operator.desired import names
from kato_operator.desired.kinds import Manifest
from kato_operator.desired.stores import pod_sources
from kato_operator.desired.subject import Subject, plain
from kato_spec.keys import child_name

USER: Final = 10001
GRACE_SECONDS: Final = 40
DEFAULT_RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
# How long a pod goes on serving after it is marked for deletion, so that every proxy has heard of it.
DRAIN_SECONDS: Final = {"Embedded": 1, "External": 5}


def template(subject: Subject) -> Manifest:
    """Return the pod template of the processor's Deployment."""
    spec = subject.spec
    annotations = {**(spec.pod_annotations or {}), names.TOKEN_ANNOTATION: subject.token_digest}
    if subject.stores:
        annotations[names.STORES_ANNOTATION] = subject.stores.digest(subject.token)
    return {
        "metadata": {
            "labels": {**(spec.pod_labels or {}), **names.labels(subject.name)},
            "annotations": annotations,
        },
        "spec": {
            "serviceAccountName": spec.service_account_name or child_name(subject.name),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "hostNetwork": False,
            "hostPID": False,
            "hostIPC": False,
            "initContainers": [],
            "containers": [_container(subject)],
            "volumes": _volumes(subject),
            **_placement(subject),
        },
    }


def _container(subject: Subject) -> Manifest:
    """Return the one container: `kato serve` on two ports, told apart by name."""
    spec = subject.spec
    container: Manifest = {
        "name": names.CONTAINER,
        "image": spec.image or subject.default_image,
        "command": [],
        "args": [],
        "envFrom": [],
        "ports": [
            {"name": "http", "containerPort": names.API_PORT, "protocol": "TCP"},
            {"name": "internal", "containerPort": names.INTERNAL_PORT, "protocol": "TCP"},
        ],
        "env": [*_settings(subject), *(plain(variable) for variable in spec.env or [])],
        "resources": plain(spec.resources) if spec.resources else DEFAULT_RESOURCES,
        "startupProbe": _probe("/startupz", period=1, failures=600),
        "readinessProbe": _probe("/readyz", period=2, failures=2),
        "livenessProbe": _probe("/livez", period=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS[subject.storage.type]}}},
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            *([{"name": "data", "mountPath": names.DATA_DIR}] if subject.embedded else []),
            {"name": "parameters", "mountPath": names.CONFIG_DIR, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own volume
        ],
    }
    if spec.image_pull_policy:
        container["imagePullPolicy"] = spec.image_pull_policy
    return container


def _settings(subject: Subject) -> list[Manifest]:
    """Return the service's own settings as environment variables."""
    values = {
        "KATO_PROCESSOR_ID": subject.name,
        "KATO_NAMESPACE": subject.namespace,
        "KATO_HOST": "0.0.0.0",  # noqa: S104 - inside a pod: the NetworkPolicy says who may reach it
        "KATO_PORT": str(names.API_PORT),
        "KATO_INTERNAL_HOST": "0.0.0.0",  # noqa: S104 - as above, and by token alone
        "KATO_INTERNAL_PORT": str(names.INTERNAL_PORT),
        "KATO_PARAMETERS_FILE": f"{names.CONFIG_DIR}/{names.PARAMETERS_KEY}",
    }
    secrets = {"KATO_INTERNAL_TOKEN": (names.token_secret_name(subject.name), names.TOKEN_KEY)}
    fields = {}
    if subject.embedded:
        values["KATO_DATA_DIR"] = names.DATA_DIR
    else:
        found = pod_sources(subject.name, subject.namespace, subject.spec.storage)
        values["KATO_MONGODB_DATABASE"] = str(subject.storage.database)
        secrets["KATO_MONGODB_URI"] = (found.mongodb.secret, found.mongodb.key)
        secrets["KATO_REDIS_URL"] = (found.redis.secret, found.redis.key)
        fields["KATO_REPLICA_NAME"] = "metadata.name"
    if subject.spec.auth:
        tokens = subject.spec.auth.tokens_secret_ref
        secrets["KATO_TOKENS"] = (tokens.name, tokens.key)
    return [
        *({"name": name, "value": value} for name, value in values.items()),
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
            for name, (secret, key) in secrets.items()
        ),
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
    ]


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    """Return a probe of one of the service's z-paths; `period` in seconds."""
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _volumes(subject: Subject) -> list[Manifest]:
    """Return the volumes: embedded memory, parameters, and room for temporary files under the read-only root."""
    claim, size = subject.storage.claim_name, subject.storage.size
    data: Manifest = {"persistentVolumeClaim": {"claimName": claim}} if claim else {"emptyDir": {"sizeLimit": size}}
    return [
        *([{"name": "data", **data}] if subject.embedded else []),
        {"name": "parameters", "configMap": {"name": child_name(subject.name)}},
        {"name": "tmp", "emptyDir": {}},
    ]


def _placement(subject: Subject) -> Manifest:
    """Return what the spec says about where pods run and how their image is pulled."""
    spec = subject.spec
    return {
        "nodeName": "",
        "imagePullSecrets": [plain(secret) for secret in spec.image_pull_secrets or []],
        "nodeSelector": dict(spec.node_selector or {}),
        "tolerations": [plain(toleration) for toleration in spec.tolerations or []],
        "affinity": plain(spec.affinity) if spec.affinity else {},
        "topologySpreadConstraints": [
            {"labelSelector": {"matchLabels": names.selector(subject.name)}, **plain(spread)}
            for spread in spec.topology_spread_constraints or []
        ],
        "priorityClassName": spec.priority_class_name or "",
    }
