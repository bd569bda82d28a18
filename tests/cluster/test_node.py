"""The cluster is a real one: restricted pods, services by name, volumes with fsGroup, exec, logs, tokens and RBAC."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.support import http
from tests.support.cluster.cluster import Cluster, CommandFailed
from tests.support.cluster.local import LocalCluster
from tests.support.cluster.pods import USER, claim, pod, service, with_volume
from tests.support.eventually import eventually

PORT = 8000
SERVE = ["python3", "-m", "http.server", str(PORT), "--directory", "/etc"]
WAIT = ["python3", "-c", "import signal; signal.pause()"]
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where a pod finds its token


def run_pod(cluster: Cluster, manifest: dict[str, object], namespace: str, name: str) -> None:
    cluster.apply(manifest)
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=100s")


def in_pod(cluster: Cluster, namespace: str, name: str, script: str) -> str:
    return cluster.kubectl("-n", namespace, "exec", name, "--", "python3", "-c", script)


def test_a_service_of_a_restricted_pod_answers_by_name_from_another_pod(
    cluster: Cluster, namespace: str, python_image: str
) -> None:
    cluster.apply(service(namespace, "server", PORT))
    run_pod(cluster, pod(namespace, "server", python_image, SERVE), namespace, "server")
    run_pod(cluster, pod(namespace, "client", python_image, WAIT), namespace, "client")
    fetch = "import sys, urllib.request; print(urllib.request.urlopen('http://{}:8000/hostname').read().decode())"

    def answer() -> str:
        try:
            return in_pod(cluster, namespace, "client", fetch.format(f"server.{namespace}.svc.cluster.local"))
        except CommandFailed:  # the node may still be learning of the service
            return ""

    assert eventually(answer, timeout=90).strip()
    assert in_pod(cluster, namespace, "client", fetch.format("server")).strip()
    assert "GET /hostname" in cluster.kubectl("-n", namespace, "logs", "server")


def test_a_pod_is_not_root_and_cannot_write_its_root(cluster: Cluster, namespace: str, python_image: str) -> None:
    run_pod(cluster, pod(namespace, "p", python_image, WAIT), namespace, "p")
    assert in_pod(cluster, namespace, "p", "import os; print(os.getuid())").strip() == str(USER)
    with pytest.raises(CommandFailed, match="Read-only file system"):
        in_pod(cluster, namespace, "p", "open('/opt/file', 'w')")


def test_a_pod_that_is_not_restricted_is_refused(cluster: Cluster, namespace: str, python_image: str) -> None:
    manifest = pod(namespace, "root", python_image, WAIT, securityContext={"runAsUser": 0})
    with pytest.raises(CommandFailed, match="violates PodSecurity"):
        cluster.apply(manifest)


def test_a_volume_belongs_to_the_pods_group_and_outlives_the_pod(
    cluster: Cluster, namespace: str, python_image: str
) -> None:
    manifest = with_volume(pod(namespace, "writer", python_image, WAIT), "memory", "/data", USER)
    cluster.apply(claim(namespace, "memory"))
    run_pod(cluster, manifest, namespace, "writer")
    in_pod(cluster, namespace, "writer", "open('/data/kept', 'w').write('still here')")
    cluster.kubectl("-n", namespace, "delete", "pod", "writer")
    run_pod(cluster, manifest, namespace, "writer")
    assert in_pod(cluster, namespace, "writer", "print(open('/data/kept').read())").strip() == "still here"
    assert in_pod(cluster, namespace, "writer", "import os; print(os.stat('/data').st_gid)").strip() == str(USER)


def test_a_claim_may_ask_for_more_later(cluster: Cluster, namespace: str, python_image: str) -> None:
    cluster.apply(claim(namespace, "memory"))
    run_pod(cluster, with_volume(pod(namespace, "p", python_image, WAIT), "memory", "/data", USER), namespace, "p")
    cluster.apply(claim(namespace, "memory", size="2Gi"))
    grown = cluster.get("-n", namespace, "pvc", "memory")
    assert grown["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_a_volume_comes_back_empty_when_its_claim_is_gone(
    local_cluster: LocalCluster, namespace: str, python_image: str
) -> None:
    manifest = with_volume(pod(namespace, "writer", python_image, WAIT), "memory", "/data", USER)
    local_cluster.apply(claim(namespace, "memory"))
    run_pod(local_cluster, manifest, namespace, "writer")
    in_pod(local_cluster, namespace, "writer", "open('/data/secret', 'w').write('of another test')")
    volume = local_cluster.get("-n", namespace, "pvc", "memory")["spec"]["volumeName"]
    local_cluster.kubectl("-n", namespace, "delete", "pod/writer", "pvc/memory")

    def is_free() -> bool:
        found = {item["metadata"]["name"]: item["status"].get("phase") for item in local_cluster.get("pv")["items"]}
        return found.get(volume) == "Available"

    assert eventually(is_free, timeout=90, interval=0.2)
    assert not list((local_cluster.at.path / "volumes" / volume).iterdir())


def test_a_pod_may_do_what_its_service_account_may(cluster: Cluster, namespace: str, python_image: str) -> None:
    cluster.kubectl("-n", namespace, "create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    cluster.kubectl(
        "-n", namespace, "create", "rolebinding", "r", "--role=reader", f"--serviceaccount={namespace}:default"
    )
    run_pod(cluster, pod(namespace, "p", python_image, WAIT), namespace, "p")
    ask = f"""
import json, ssl, sys, urllib.error, urllib.request
def status(resource):
    request = urllib.request.Request(f"https://kubernetes.default.svc/api/v1/namespaces/{namespace}/{{resource}}")
    request.add_header("Authorization", "Bearer " + open("{TOKEN}/token").read())
    try:
        return urllib.request.urlopen(request, context=ssl.create_default_context(cafile="{TOKEN}/ca.crt")).status
    except urllib.error.HTTPError as error:
        return error.code
print(json.dumps([status("configmaps"), status("secrets")]))
"""
    assert json.loads(in_pod(cluster, namespace, "p", ask)) == [200, 403]


@pytest.mark.usefixtures("network")
def test_the_test_itself_reaches_a_pod(local_cluster: LocalCluster, namespace: str, python_image: str) -> None:
    run_pod(local_cluster, pod(namespace, "server", python_image, SERVE), namespace, "server")
    address = local_cluster.get("-n", namespace, "pod", "server")["status"]["podIP"]

    def served() -> bool:
        try:
            return http.get(f"http://{address}:{PORT}/hostname", trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:  # the container runs, and its server has not begun to listen yet
            return False

    assert eventually(served, timeout=90)


def test_a_command_of_the_test_reaches_services_by_name(
    local_cluster: LocalCluster, namespace: str, python_image: str
) -> None:
    local_cluster.apply(service(namespace, "server", PORT))
    run_pod(local_cluster, pod(namespace, "server", python_image, SERVE), namespace, "server")
    fetch = (
        f"import urllib.request; print(urllib.request.urlopen('http://server.{namespace}.svc:{PORT}/hostname').status)"
    )

    def answer() -> str:
        try:
            return local_cluster.run("python3", "-c", fetch).strip()
        except CommandFailed:  # the node may still be learning of the service
            return ""

    assert eventually(answer, timeout=90) == "200"


def test_the_audit_log_tells_who_wrote_what(local_cluster: LocalCluster, namespace: str) -> None:
    local_cluster.kubectl("-n", namespace, "create", "configmap", "noted")

    def written_by() -> list[str]:
        return [
            event["user"]["username"]
            for event in local_cluster.audit()
            if event["verb"] == "create" and event.get("objectRef", {}).get("name") == "noted"
        ]

    assert eventually(written_by, timeout=60) == ["admin"]
