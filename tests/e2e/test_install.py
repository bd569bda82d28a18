"""What `helm install` brings: an operator that is Ready, two kinds that kubectl reads well, roles for users."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.e2e.release import NAMESPACE, ROOT, Release
from tests.e2e.space import Space
from tests.support.cluster.cluster import CommandFailed

OPENAPI = "/openapi/v3/apis/kato.dev/v1alpha1"


def test_the_operator_is_ready_and_says_so_in_its_metrics(release: Release) -> None:
    deployment = json.loads(release.kubectl("get", "deployment", "kato-operator", "-o", "json"))
    assert deployment["status"]["readyReplicas"] == 1
    metrics = f"/api/v1/namespaces/{NAMESPACE}/services/kato-operator-metrics:metrics/proxy/metrics"
    assert "kato_operator" in release.cluster.kubectl("get", "--raw", metrics)


def test_the_definitions_are_taken_without_a_warning(release: Release) -> None:
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        said = release.cluster.kubectl(
            "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--warnings-as-errors", "-f", str(path)
        )
        assert "serverside-applied" in said


@pytest.mark.parametrize(
    ("names", "kind"), [(("katoprocessors", "kproc"), "KatoProcessor"), (("katosessions", "ksess"), "KatoSession")]
)
def test_kinds_have_short_names_and_subresources(release: Release, names: tuple[str, str], kind: str) -> None:
    served = json.loads(release.cluster.kubectl("get", "--raw", "/apis/kato.dev/v1alpha1"))["resources"]
    by_name = {resource["name"]: resource for resource in served}
    plural, short = names
    assert by_name[plural]["kind"] == kind
    assert by_name[plural]["shortNames"] == [short]
    assert by_name[plural]["categories"] == ["kato"]
    assert f"{plural}/status" in by_name
    assert (f"{plural}/scale" in by_name) == (kind == "KatoProcessor")


def test_every_field_is_explained(release: Release) -> None:
    schemas = json.loads(release.cluster.kubectl("get", "--raw", OPENAPI))["components"]["schemas"]
    for kind in ("KatoProcessor", "KatoSession"):
        schema = schemas[f"dev.kato.v1alpha1.{kind}"]
        bare = [path for path, field in walk(schema, kind) if not field.get("description")]
        assert not bare
        assert schema["description"]


def walk(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield path and schema of every field that is ours: `metadata` explains itself."""
    for name, field in schema.get("properties", {}).items():
        if name != "metadata":
            yield f"{path}.{name}", field
            yield from walk(field, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")


def test_kubectl_explains_a_field_in_words(release: Release) -> None:
    explained = release.cluster.kubectl("explain", "kproc.spec.parameters.recallThreshold")
    assert "Least similarity at which a pattern is recalled" in explained


def test_viewers_read_and_editors_write(release: Release, space: Space) -> None:
    for user, role in (("viewer", "view"), ("editor", "edit")):
        space.kubectl("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
    verbs = ("get", "create", "patch", "delete")
    assert [allowed(space, "viewer", verb) for verb in verbs] == [True, False, False, False]
    assert [allowed(space, "editor", verb) for verb in verbs] == [True, True, True, True]


def allowed(space: Space, user: str, verb: str) -> bool:
    """Ask the API server whether a user may do something to processors."""
    try:
        answer = space.kubectl("auth", "can-i", verb, "katoprocessors.kato.dev", f"--as={user}")
    except CommandFailed as error:
        answer = error.stdout
    return answer.strip() == "yes"


def test_helm_test_passes(release: Release) -> None:
    assert "Phase:          Succeeded" in release.test()
