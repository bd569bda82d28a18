"""What `kato` prints as YAML means the same to kubectl."""

from __future__ import annotations

import json

import pytest

from kato_operator.local.api_yaml import dumped
from kato_spec.keys import API_VERSION
from tests.support.cluster.cluster import Cluster
from tests.support.risky_texts import RISKY_TEXTS


@pytest.mark.parametrize("text", RISKY_TEXTS)
def test_a_text_stays_a_text(cluster: Cluster, crds: None, text: str) -> None:
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "KatoProcessor",
        "metadata": {"name": "named", "namespace": "default"},
        "spec": {"displayName": text, "storage": {"embedded": {"ephemeral": True}}},
    }
    created = cluster.kubectl("create", "--dry-run=server", "-f", "-", "-o", "json", stdin=dumped(manifest))
    assert json.loads(created)["spec"]["displayName"] == text
