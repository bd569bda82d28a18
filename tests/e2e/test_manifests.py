"""The API server gives `kato apply`'s verdict on every row of tests/manifests, and blames the same field.

tests/unit/spec holds `kato_spec.manifests` to the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.release import Release
from tests.e2e.space import Space
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
