"""The API server gives `kato apply`'s verdict on every row of tests/manifests, and blames the same field.

tests/unit/spec holds `kato_spec.manifests` to the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.release import Release
from tests.e2e.space import Json, Space, processor, session
from tests.support import manifests
from tests.support.apiserver_verdicts import ApiServer
from tests.support.cluster.api import Api

INVALID = {row.name: row for row in manifests.invalid()}
VALID = {row.name: row for row in manifests.valid()}
UPDATES = {row.name: row for row in manifests.updates()}


@pytest.fixture(scope="module")
def server(release: Release, space: Space) -> Iterator[ApiServer]:
    with release.cluster.entered(), Api(release.cluster.kubeconfig).http as client:
        yield ApiServer(client, space.name)


@pytest.mark.parametrize("name", INVALID)
def test_invalid_manifest_is_refused_for_its_field(server: ApiServer, name: str) -> None:
    assert server.refused(INVALID[name].manifest) == {INVALID[name].field}


@pytest.mark.parametrize("name", VALID)
def test_valid_manifest_is_accepted(server: ApiServer, name: str) -> None:
    assert server.refused(VALID[name].manifest) == set()


@pytest.mark.parametrize("name", UPDATES)
def test_change_gets_its_verdict(server: ApiServer, name: str) -> None:
    blamed = {UPDATES[name].field} - {None}
    assert server.refused_update(*UPDATES[name].documents()) == blamed


MONGODB, REDIS = {"uriSecretRef": {"name": "mongo"}}, {"urlSecretRef": {"name": "redis"}}
WRITTEN = {
    "sessions": {},
    "autoscaling": {"maxReplicas": 3},
    "storage": {"external": {"mongodb": MONGODB, "redis": REDIS}},
    "auth": {"tokensSecretRef": {"name": "tokens"}},
}
# As operator.md has them, not as the models do.
STORED = {
    "displayName": "KatoProcessor",
    "port": 8000,
    "replicas": 1,
    "deletionPolicy": "Retain",
    "suspend": False,
    "serviceType": "ClusterIP",
    "sessions": {"ttlSeconds": 3600, "autoExtend": True, "maxActive": 0},
    "autoscaling": {"minReplicas": 1, "maxReplicas": 3, "targetCPUUtilization": 80},
    "storage": {
        "external": {
            "mongodb": {"uriSecretRef": {"name": "mongo", "key": "uri"}},
            "redis": {"urlSecretRef": {"name": "redis", "key": "url"}},
        }
    },
    "auth": {"tokensSecretRef": {"name": "tokens", "key": "tokens"}},
}
PLAIN = ("displayName", "port", "replicas", "deletionPolicy", "suspend", "serviceType")


@pytest.mark.parametrize(
    ("document", "stored"),
    [
        (processor("broad"), {name: STORED[name] for name in PLAIN}),
        (processor("broad", **WRITTEN), STORED),
        (
            processor("broad", storage={"embedded": {}}),
            {name: STORED[name] for name in PLAIN} | {"storage": {"embedded": {"size": "1Gi", "ephemeral": False}}},
        ),
        (session("reader", of="broad"), {"processorRef": {"name": "broad"}, "expiryPolicy": "Expire"}),
    ],
    ids=["nothing", "everything", "embedded", "session"],
)
def test_defaults_are_filled_in(server: ApiServer, document: Json, stored: Json) -> None:
    assert server.completed(document) == stored
