"""The comparison before every apply: what is as wanted is left alone, what is not is found, quantities by value."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_operator.desired.compare import drift, stamped, without_extras
from kato_operator.desired.names import APPLIED_ANNOTATION
from tests.support.operator.fake_cluster import merged

LEAVES = st.one_of(st.integers(-3, 3), st.booleans(), st.text("ab", max_size=2))
KEYS = st.sampled_from(["a", "b", "selector", "requests", "env"])
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3),
        st.lists(st.builds(dict, name=st.text("xyz", min_size=1, max_size=1), value=inner), max_size=3),
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, JSON, min_size=1, max_size=4)


def changed(wanted: object, live: object) -> list[str]:
    return list(drift(wanted, live))


@given(OBJECTS)
def test_what_is_as_wanted_is_left_alone(wanted: dict[str, Any]) -> None:
    assert changed(wanted, copy.deepcopy(wanted)) == []


@given(OBJECTS, st.text("pq", min_size=1, max_size=2), LEAVES)
def test_a_field_that_someone_adds_beside_ours_is_left_alone(wanted: dict[str, Any], key: str, value: object) -> None:
    assert changed(wanted, {**wanted, key: value}) == []


@given(OBJECTS, OBJECTS)
def test_laying_live_under_wanted_gives_what_is_wanted(wanted: dict[str, Any], live: dict[str, Any]) -> None:
    assert changed(wanted, without_extras(wanted, live)) == []


@given(OBJECTS, OBJECTS)
def test_laying_is_idempotent(wanted: dict[str, Any], live: dict[str, Any]) -> None:
    once = without_extras(wanted, live)
    assert without_extras(wanted, once) == once


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("500m", "0.5", True),
        ("1024Mi", "1Gi", True),
        ("1", 1, True),
        ("1Gi", "1G", False),
        ("many", "1", False),
    ],
)
def test_quantities_count_by_what_they_amount_to(one: object, other: object, same: bool) -> None:
    for wanted, live in ((one, other), (other, one)):
        manifest = {"resources": {"requests": {"cpu": wanted}}}
        assert (changed(manifest, {"resources": {"requests": {"cpu": live}}}) == []) is same
    assert changed({"cpu": "500m"}, {"cpu": "0.5"}) == ["cpu"]


@pytest.mark.parametrize("empty", ["", 0, False, None, {}, []])
def test_empty_is_as_good_as_missing(empty: object) -> None:
    assert changed({"a": empty}, {}) == []


@pytest.mark.parametrize(
    ("wanted", "live", "at"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"]),
        ({"a": {"b": 1}}, {}, ["a"]),
        ({"selector": {"x": "1"}}, {"selector": {"x": "1", "y": "2"}}, ["selector.y"]),
        ({"data": {"x": "1"}}, {"data": {"x": "1", "y": "2"}}, ["data.y"]),
        ({"l": [1, 2]}, {"l": [1, 2, 3]}, ["l"]),
        ({"l": [{"k": 1}]}, {"l": [{"k": 2}]}, ["l.0.k"]),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "B"}, {"name": "A", "value": "1"}]}, ["env.B"]),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}, ["env.A.value"]),
        ({"ownerReferences": [{"uid": "1"}]}, {"ownerReferences": [{"uid": "2"}, {"uid": "1"}]}, []),
        ({"m": [{"name": "d", "mountPath": "/a"}]}, {"m": [{"name": "d", "mountPath": "/b"}]}, ["m./a", "m./b"]),
    ],
)
def test_drift_is_found_where_it_is(wanted: dict[str, Any], live: dict[str, Any], at: list[str]) -> None:
    assert changed(wanted, live) == at


def test_what_an_apply_cannot_take_away_is_told_apart() -> None:
    wanted = {"data": {"x": "1"}, "env": [{"name": "A", "value": "1"}]}
    more = {"data": {"x": "1", "y": "2"}, "env": [{"name": "A", "value": "1"}, {"name": "B"}]}
    assert changed(wanted, more) == ["data.y", "env.B"]
    assert list(drift(wanted, more, extras=False)) == []
    assert list(drift(wanted, {**more, "data": {"x": "2", "y": "2"}}, extras=False)) == ["data.x"]


HARDENED = {
    "sessionAffinity": "None",
    "securityContext": {
        "runAsUser": 7,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
}
ADDED: list[dict[str, Any]] = [
    {"securityContext": {"runAsGroup": 0}},
    {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}},
    {"securityContext": {"seccompProfile": {"localhostProfile": "theirs.json"}}},
    {"lifecycle": {"postStart": {"exec": {"command": ["true"]}}}},
    {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1}}},
    {"shareProcessNamespace": True},
    {"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["mongodb"]}]},
]


@pytest.mark.parametrize("added", ADDED, ids=str)
def test_what_loosens_a_pod_is_found_and_taken_away(added: dict[str, Any]) -> None:
    live = merged(HARDENED, added)
    assert list(drift(HARDENED, live, extras=False)) == []
    assert len(changed(HARDENED, live)) == 1
    assert without_extras(HARDENED, live) == HARDENED


def test_the_stamp_tells_of_a_field_that_is_no_longer_wanted() -> None:
    before = stamped({"metadata": {"name": "x", "annotations": {"a": "1"}}, "spec": {}})
    after = stamped({"metadata": {"name": "x", "annotations": {}}, "spec": {}})
    assert changed(after, before) == [f"metadata.annotations.{APPLIED_ANNOTATION}"]
    assert stamped({"metadata": {"name": "x", "annotations": {}}, "spec": {}}) == after
