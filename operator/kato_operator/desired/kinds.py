"""The kinds of Kubernetes objects that the operator reads and writes, by name.

Used by every room of the operator: manifests take their `apiVersion` and `kind` from here, `cluster` its paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kato_spec.keys import GROUP, VERSION

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object: `group` is empty for the core API."""

    group: str
    version: str
    plural: str
    name: str

    @property
    def api_version(self) -> str:
        """The kind's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def manifest(self, metadata: Manifest, **fields: object) -> Manifest:
        """Return a manifest of this kind; `fields` are its top-level fields, such as `spec`."""
        return {"apiVersion": self.api_version, "kind": self.name, "metadata": metadata, **fields}


PROCESSOR = Kind(GROUP, VERSION, "katoprocessors", "KatoProcessor")
SESSION = Kind(GROUP, VERSION, "katosessions", "KatoSession")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
SERVICE = Kind("", "v1", "services", "Service")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
SECRET = Kind("", "v1", "secrets", "Secret")
CLAIM = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
POD = Kind("", "v1", "pods", "Pod")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
DISRUPTION_BUDGET = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
AUTOSCALER = Kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")

CUSTOM = (PROCESSOR, SESSION)
# Children that are watched by label; Secrets are not: the operator may read them by name alone.
WATCHED_CHILDREN = (
    DEPLOYMENT,
    SERVICE,
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    CLAIM,
    POD,
    NETWORK_POLICY,
    DISRUPTION_BUDGET,
    AUTOSCALER,
)
WATCHED = CUSTOM + WATCHED_CHILDREN
BY_NAME = {kind.name: kind for kind in (*WATCHED, SECRET)}


def lean(manifest: Manifest) -> Manifest:
    """Return an object without what the operator never looks at and would only keep in memory."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "managedFields"}
    return {**manifest, "metadata": metadata}
