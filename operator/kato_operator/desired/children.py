"""Every child of a processor, and which of them should not be there.

Called by `reconcile` (spec: operator.md, KatoProcessor, "Children"). Children are named `kato-<name>`, labelled and
owned by the processor; the volume of the memory alone has no owner, for it outlives the processor.
"""

from __future__ import annotations

import base64
import json

from kato_operator.desired import names
from kato_operator.desired.kinds import (
    AUTOSCALER,
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    PROCESSOR,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Manifest,
)
from kato_operator.desired.pod import template
from kato_operator.desired.storage import as_found
from kato_operator.desired.stores import URI_KEY, URL_KEY, Stores
from kato_operator.desired.subject import Subject
from kato_spec.processor import Autoscaling

# Kinds that come and go with the spec; the others are always wanted.
OPTIONAL = (SERVICE_ACCOUNT, DISRUPTION_BUDGET, AUTOSCALER)


def children(subject: Subject, claim: Manifest | None) -> list[Manifest]:
    """Return every child that should be there, in the order in which they are best made.

    `claim`: the volume claim as it stands, for a volume never shrinks.
    """
    wanted = [token_secret(subject), parameters(subject)]
    if subject.stores and not (subject.spec.storage and subject.spec.storage.external):
        wanted.append(stores_secret(subject, subject.stores))
    if subject.storage.claim_name:
        wanted.append(memory_claim(subject, claim))
    if not subject.spec.service_account_name:
        account = subject.child(SERVICE_ACCOUNT)
        wanted.append(account.having(automountServiceAccountToken=False))
    wanted += [deployment(subject), service(subject), network_policy(subject)]
    if subject.replicas > 1:
        wanted.append(disruption_budget(subject))
    if subject.spec.autoscaling and not subject.spec.suspend:
        wanted.append(autoscaler(subject, subject.spec.autoscaling))
    return wanted


def unwanted(wanted: list[Manifest]) -> list[Kind]:
    """Return the optional kinds that are not among the `wanted` children."""
    there = {manifest["kind"] for manifest in wanted}
    return [kind for kind in OPTIONAL if kind.name not in there]


def token_secret(subject: Subject) -> Manifest:
    """Return the Secret with the operator's token for the pods' internal API."""
    return _secret(subject, names.token_secret_name(subject.name), {names.TOKEN_KEY: subject.token})


def stores_secret(subject: Subject, stores: Stores) -> Manifest:
    """Return the Secret that brings the chart's stores to the processor's namespace."""
    values = {URI_KEY: stores.mongodb_uri, URL_KEY: stores.redis_url}
    return _secret(subject, names.stores_secret_name(subject.name), values)


def _secret(subject: Subject, name: str, values: dict[str, str]) -> Manifest:
    """Return a Secret of the processor's own."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return subject.child(SECRET, name).having(type="Opaque", data=data)


def parameters(subject: Subject) -> Manifest:
    """Return the ConfigMap that a pod reads its parameters from when it starts; later ones come by the internal API."""
    record = subject.processor.record(subject.uid, subject.generation).model_dump(mode="json")
    text = json.dumps(record, sort_keys=True, indent=1)
    return subject.child(CONFIG_MAP).having(data={names.PARAMETERS_KEY: text})


def memory_claim(subject: Subject, live: Manifest | None) -> Manifest:
    """Return the claim of the embedded memory; `live` is the one there is, which may be larger and stays so."""
    spec: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": as_found(subject.storage, live).size}},
    }
    storage = subject.spec.storage
    if storage and storage.embedded and storage.embedded.storage_class_name:
        spec["storageClassName"] = storage.embedded.storage_class_name
    claim = subject.child(
        CLAIM,
        names.claim_name(subject.name),
        annotations={names.ON_DELETE_ANNOTATION: subject.spec.deletion_policy},
    )
    del claim.metadata["ownerReferences"]
    return claim.having(spec=spec)


def deployment(subject: Subject) -> Manifest:
    """Return the Deployment: one pod at a time on a volume of its own, a rolling update on stores that are shared."""
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return subject.child(DEPLOYMENT).having(
        spec={
            "replicas": subject.replicas,
            "paused": False,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": names.selector(subject.name)},
            "strategy": {"type": "Recreate"} if subject.embedded else rolling,
            "template": template(subject),
        }
    )


def service(subject: Subject) -> Manifest:
    """Return the Service of the API; the internal port is reached by pod address alone."""
    return subject.child(SERVICE, annotations=dict(subject.spec.service_annotations or {})).having(
        spec={
            "type": subject.spec.service_type,
            "selector": names.selector(subject.name),
            "externalIPs": [],
            "publishNotReadyAddresses": False,
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "ports": [{"name": "http", "port": subject.spec.port, "targetPort": "http", "protocol": "TCP"}],
        }
    )


def network_policy(subject: Subject) -> Manifest:
    """Return the NetworkPolicy: ingress to the two ports, and nothing said about egress."""
    ports = [{"port": port, "protocol": "TCP"} for port in (names.API_PORT, names.INTERNAL_PORT)]
    return subject.child(NETWORK_POLICY).having(
        spec={
            "podSelector": {"matchLabels": names.selector(subject.name)},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": ports}],
        }
    )


def disruption_budget(subject: Subject) -> Manifest:
    """Return the PodDisruptionBudget: one pod at a time may be evicted."""
    return subject.child(DISRUPTION_BUDGET).having(
        spec={"maxUnavailable": 1, "selector": {"matchLabels": names.selector(subject.name)}}
    )


def autoscaler(subject: Subject, scaling: Autoscaling) -> Manifest:
    """Return the HorizontalPodAutoscaler; it scales the KatoProcessor, so that `replicas` has one writer below it."""
    target = {"apiVersion": PROCESSOR.api_version, "kind": PROCESSOR.name, "name": subject.name}
    utilization = {"type": "Utilization", "averageUtilization": scaling.target_cpu_utilization}
    return subject.child(AUTOSCALER).having(
        spec={
            "scaleTargetRef": target,
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": utilization}}],
        }
    )
