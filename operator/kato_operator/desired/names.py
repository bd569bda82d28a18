"""Names, labels and annotations of a processor's children, and where things lie inside its pods.

Used by the manifests of this room, by `reconcile` to find and own children, and by `handlers` to select them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kato_spec.keys import GROUP, child_name

PROCESSOR_LABEL = f"{GROUP}/processor"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
FIELD_MANAGER = "kato-operator"
PAUSED_ANNOTATION = f"{GROUP}/paused"
APPLIED_ANNOTATION = f"{GROUP}/applied"
TOKEN_ANNOTATION = f"{GROUP}/token"
STORES_ANNOTATION = f"{GROUP}/stores"
ON_DELETE_ANNOTATION = f"{GROUP}/on-delete"
FINALIZER = f"{GROUP}/memory"

CONTAINER = "kato"
API_PORT = 8000
INTERNAL_PORT = 8081
DATA_DIR = "/data"
CONFIG_DIR = "/etc/kato"
PARAMETERS_KEY = "parameters.json"
TOKEN_KEY = "token"  # noqa: S105 - the name of a Secret's key, not a secret


def selector(processor: str) -> dict[str, str]:
    """Return the labels that select a processor's pods; they never change."""
    return {"app.kubernetes.io/name": "kato", PROCESSOR_LABEL: processor}


def selector_text(processor: str) -> str:
    """Return the same selector as text, for the scale subresource."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector(processor).items()))


def labels(processor: str) -> dict[str, str]:
    """Return the labels of every child."""
    return {
        **selector(processor),
        "app.kubernetes.io/instance": child_name(processor),
        "app.kubernetes.io/component": "processor",
        "app.kubernetes.io/part-of": "kato",
        **marks(processor),
    }


def marks(processor: str) -> dict[str, str]:
    """Return the labels by which an object that no one owns is the operator's, and of a processor."""
    return {MANAGED_BY_LABEL: FIELD_MANAGER, PROCESSOR_LABEL: processor}


def is_marked_as(metadata: Mapping[str, Any], processor: str) -> bool:
    """Say whether an object that no one owns is the operator's, and of a processor.

    Its labels say so; where someone took them off a memory, what the operator wrote beside them does.
    """
    found, said, ours = metadata.get("labels", {}), metadata.get("annotations", {}), marks(processor)
    if all(found.get(label) == value for label, value in ours.items()):
        return True
    disputed = any(found.get(label, value) != value for label, value in ours.items())
    return not disputed and ON_DELETE_ANNOTATION in said and APPLIED_ANNOTATION in said


def claim_name(processor: str) -> str:
    """Return the name of the PersistentVolumeClaim of a processor's embedded memory."""
    return f"{child_name(processor)}-memory"


def token_secret_name(processor: str) -> str:
    """Return the name of the Secret with the operator's token for the pods' internal API."""
    return f"{child_name(processor)}-internal"


def stores_secret_name(processor: str) -> str:
    """Return the name of the Secret that brings the chart's stores to a processor's namespace."""
    return f"{child_name(processor)}-stores"


def memory_note_name(processor: str) -> str:
    """Return the name of the ConfigMap that notes which memory in shared stores is to go with its processor.

    With a dot, which no processor's name has: `kato-x-memory` is the ConfigMap of a processor `x-memory`.
    """
    return f"{child_name(processor)}.memory"


def endpoint(processor: str, namespace: str, port: int) -> str:
    """Return the URL of a processor's API inside the cluster."""
    return f"http://{child_name(processor)}.{namespace}.svc:{port}"
