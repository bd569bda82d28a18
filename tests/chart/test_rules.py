"""The chart grants exactly what the operator says it uses, no verb more, and no wildcard."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kato_operator.cluster.rules import BINDING_RULES, LEASE_RULES, RULES, STORES_RULES, Rule
from tests.chart.rendering import SETS, Document, documents

Grant = tuple[str, str, str]
OWN = "kato-operator-leader"
# Sets of values that name stores, and the Secrets of these.
STORES = {"everything": ["memory", "sessions"], "trial": ["kato-operator-stores"]}


def wanted(rules: Iterable[Rule]) -> set[Grant]:
    return {(rule.group, resource, verb) for rule in rules for resource in rule.resources for verb in rule.verbs}


def granted(role: Document) -> set[Grant]:
    """Return every verb that a role grants, on which resource of which group."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def roles(name: str, kind: str) -> dict[tuple[str | None, str], Document]:
    """Return the roles of the operator by namespace and name; those for users are not its own."""
    found = [role for role in documents(name, kind) if role["metadata"]["name"] not in ("kato-viewer", "kato-editor")]
    return {(role["metadata"].get("namespace"), role["metadata"]["name"]): role for role in found}


def bindings(name: str, role: str) -> list[Document]:
    """Return what binds a role."""
    found = [*documents(name, "RoleBinding"), *documents(name, "ClusterRoleBinding")]
    return [binding for binding in found if binding["roleRef"]["name"] == role]


def test_one_cluster_role_where_no_namespaces_are_named() -> None:
    ((_, role),) = roles("default", "ClusterRole").items()
    assert granted(role) == wanted(RULES)


def test_rights_in_each_watched_namespace_and_none_in_the_cluster() -> None:
    assert not documents("namespaced", "ClusterRoleBinding")
    (((_, name), role),) = roles("namespaced", "ClusterRole").items()
    assert granted(role) == wanted(RULES) | wanted(BINDING_RULES)
    (own_binding,) = [rule for rule in role["rules"] if rule["resources"] == ["rolebindings"]]
    assert own_binding["resourceNames"] == [name]
    bound = {(found["metadata"]["namespace"], found["metadata"]["name"]) for found in bindings("namespaced", name)}
    assert bound == {("team-a", name), ("team-b", name)}


@pytest.mark.parametrize("name", SETS)
def test_own_namespace_has_the_lease_and_the_secrets_of_stores_by_name(name: str) -> None:
    role = roles(name, "Role")["kato-system", OWN]
    named = STORES.get(name)
    assert granted(role) == wanted(LEASE_RULES) | (wanted(STORES_RULES) if named else set())
    by_name = {tuple(rule["resources"]): rule["resourceNames"] for rule in role["rules"] if rule["verbs"] != ["create"]}
    assert by_name == {("leases",): ["kato-operator"]} | ({("secrets",): named} if named else {})


@pytest.mark.parametrize("name", SETS)
def test_every_role_is_bound_to_the_operator_alone(name: str) -> None:
    account = {"kind": "ServiceAccount", "name": "kato-operator", "namespace": "kato-system"}
    found = [*documents(name, "RoleBinding"), *documents(name, "ClusterRoleBinding")]
    assert all(binding["subjects"] == [account] for binding in found)
    for kind in ("Role", "ClusterRole"):
        for namespace, role in roles(name, kind):
            bound = bindings(name, role)
            assert {binding["roleRef"]["kind"] for binding in bound} == {kind}
            assert namespace is None or [binding["metadata"]["namespace"] for binding in bound] == [namespace]


@pytest.mark.parametrize("name", SETS)
def test_secrets_are_never_listed_and_nothing_is_a_wildcard(name: str) -> None:
    for kind in ("Role", "ClusterRole"):
        for role in documents(name, kind):
            grants = granted(role)
            assert not any("*" in grant for grant in grants)
            assert not {("", "secrets", verb) for verb in ("list", "watch", "deletecollection")} & grants
