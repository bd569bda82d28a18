"""What the operator may do, as RBAC rules: one list, by which the chart's Role is checked.

Read by `kato-operator rules` and by the tests; the chart's ClusterRole has exactly these and is bound in each watched
namespace, or in all of them (spec: operator.md, "Least privilege").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kato_operator.cluster.kube import EVENT
from kato_operator.cluster.lease import LEASE
from kato_operator.desired.kinds import (
    AUTOSCALER,
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    POD,
    PROCESSOR,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    SESSION,
    Kind,
)

WATCH = ("get", "list", "watch")
MAKE = ("create", "patch")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `resources` of one API `group` (empty for the core API), and what may be done with them."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]

    def manifest(self) -> dict[str, list[str]]:
        """Return the rule as a Role has it."""
        return {"apiGroups": [self.group], "resources": list(self.resources), "verbs": list(self.verbs)}


def _rule(verbs: tuple[str, ...], *kinds: Kind, subresource: str = "") -> Rule:
    """Return the rule for kinds of one group."""
    (group,) = {kind.group for kind in kinds}
    return Rule(group, tuple(kind.plural + subresource for kind in kinds), verbs)


# In each watched namespace, or everywhere.
RULES: Sequence[Rule] = (
    _rule(WATCH, PROCESSOR, SESSION),
    # patch: our finalizer; delete: a session that removes itself after its expiry.
    _rule(("patch",), PROCESSOR),
    _rule(("delete",), SESSION),
    _rule(("update",), PROCESSOR, SESSION, subresource="/status"),
    # Asked for by the API server before a child may name its owner as one that blocks.
    _rule(("update",), PROCESSOR, subresource="/finalizers"),
    # create and patch: both are asked for by a server-side apply. What a processor always has goes with its owner;
    # delete is for what comes and goes with the spec, and for memory.
    _rule((*WATCH, *MAKE), SERVICE),
    _rule((*WATCH, *MAKE, "delete"), CONFIG_MAP, SERVICE_ACCOUNT, CLAIM),
    _rule((*WATCH, *MAKE, "delete"), DEPLOYMENT),
    _rule((*WATCH, *MAKE), NETWORK_POLICY),
    _rule((*WATCH, *MAKE, "delete"), DISRUPTION_BUDGET),
    _rule((*WATCH, *MAKE, "delete"), AUTOSCALER),
    # No list and no watch: a Secret is read by the name of a processor's own one.
    _rule(("get", *MAKE), SECRET),
    _rule(WATCH, POD),
    _rule(("create",), EVENT),
)

# In each watched namespace, on the RoleBinding that gives it these rights, where it is told of one.
BINDING_RULES: Sequence[Rule] = (_rule(("get", "patch"), ROLE_BINDING),)

# In the operator's own namespace, where the chart names stores.
STORES_RULES: Sequence[Rule] = (_rule(("get",), SECRET),)

# In the operator's own namespace.
LEASE_RULES: Sequence[Rule] = (_rule(("get", "create", "update"), LEASE),)
