"""`kubectl explain` reads like documentation: every field is there, and says what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from kato_spec.schema import KINDS, Kind, definition
from tests.support.cluster.cluster import Cluster, CommandFailed
from tests.support.eventually import eventually

PARTS = ("spec", "status")


def schema(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return found


def names(node: dict[str, Any]) -> Iterator[str]:
    """Yield the name of every field below a node."""
    for name, field in node.get("properties", {}).items():
        yield name
        yield from names(field)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from names(node[key])


def explained(cluster: Cluster, *words: str) -> str:
    """Return what kubectl explains; the API server publishes a kind's words some seconds after the kind itself."""

    def printed() -> str:
        try:
            return cluster.kubectl("explain", *words)
        except CommandFailed as failed:
            if "couldn't find resource" not in failed.stderr:
                raise
            return ""

    return eventually(printed, timeout=60, interval=0.5)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.short)
def test_every_field_is_listed(cluster: Cluster, crds: None, kind: Kind, part: str) -> None:
    printed = explained(cluster, f"{kind.short}.{part}", "--recursive")
    listed = re.findall(r"^ +(\w+)\t", printed.partition("FIELDS:")[2], re.MULTILINE)
    assert sorted(listed) == sorted(names(schema(kind)[part]))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.short)
def test_a_field_is_explained_in_the_words_of_the_models(cluster: Cluster, crds: None, kind: Kind) -> None:
    printed = " ".join(explained(cluster, f"{kind.short}.spec").split())
    for field in schema(kind)["spec"]["properties"].values():
        assert " ".join(field["description"].split()) in printed
