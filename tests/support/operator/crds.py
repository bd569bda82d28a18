"""Both kinds on a test cluster, applied as a user applies them.

Used by tests/operator and the benches of the operator.
"""

from __future__ import annotations

from kato_spec.generate import rendered
from kato_spec.schema import definitions
from tests.support.cluster.cluster import Cluster
from tests.support.eventually import eventually


def define(cluster: Cluster) -> None:
    """Apply the definitions and return when the API server serves both kinds."""
    documents = "---\n".join(rendered(document) for _, document in definitions())
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=documents)
    eventually(lambda: established(cluster), timeout=60)


def established(cluster: Cluster) -> bool:
    """Say whether both kinds are served; to `kubectl wait` the `conditions: null` of a new definition is an error."""
    found = cluster.get("crd", "katoprocessors.kato.dev", "katosessions.kato.dev")["items"]
    conditions = [each.get("status", {}).get("conditions") or [] for each in found]
    return all(any(one["type"] == "Established" and one["status"] == "True" for one in each) for each in conditions)
