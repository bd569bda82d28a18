"""The chart's gateway: every processor of its namespace at one address, with no reload, WebSockets included."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.release import NAMESPACE, Release
from tests.e2e.space import NOTICED, STARTED, Space, processor
from tests.support.cluster import neighbours, pods
from tests.support.eventually import eventually

GATEWAY = f"http://kato-operator-gateway.{NAMESPACE}.svc:8000"
ECHO = """
from websockets.sync.server import serve
def echo(socket):
    for message in socket:
        socket.send(f"{socket.request.path} {message}")
with serve(echo, "0.0.0.0", 8000) as server:
    server.serve_forever()
"""
TALK = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1]) as socket:
    socket.send("hello")
    print(socket.recv(timeout=30))
"""


@pytest.fixture(scope="module")
def nginx_image(release: Release) -> None:
    """The image that the chart names, on the node."""
    release.cluster.load(neighbours.nginx_image())


@pytest.fixture(scope="module")
def gateway(release: Release, nginx_image: None, space: Space) -> Iterator[Space]:
    """A namespace with a client, and the release with its gateway; afterwards the release is without it."""
    home = Space(release.cluster, NAMESPACE, space.image)
    release.install("--set", "gateway.enabled=true", "--set", "networkPolicy.enabled=true")
    yield space
    home.kubectl("delete", "kproc", "--all", "--timeout=60s")
    home.kubectl("delete", "pod/kato-echo", "service/kato-echo", "--ignore-not-found", "--wait=false")
    release.install()


@pytest.fixture(scope="module")
def home(gateway: Space) -> Space:
    """The namespace of the release."""
    return Space(gateway.cluster, NAMESPACE, gateway.image)


def test_a_processor_is_reached_by_its_name_as_soon_as_it_is_ready(gateway: Space, home: Space) -> None:
    assert gateway.ask("GET", f"{GATEWAY}/broad/ping")[0] == 503
    home.apply(processor("broad", storage={"embedded": {"ephemeral": True}}))
    home.wait("kproc/broad")
    eventually(lambda: gateway.ask("GET", f"{GATEWAY}/broad/ping")[0] == 200, promised=NOTICED)
    for symbol in "ab":
        assert gateway.post(f"{GATEWAY}/broad/observe", {"strings": [symbol]})["status"] == "okay"
    assert gateway.post(f"{GATEWAY}/broad/learn")["status"] == "learned"
    assert gateway.read(f"{GATEWAY}/broad/patterns?node_id=default&limit=1")["patterns"]


def test_what_names_no_processor_is_said_so(gateway: Space) -> None:
    assert gateway.ask("GET", f"{GATEWAY}/")[0] == 404
    status, answer = gateway.ask("GET", f"{GATEWAY}/nobody/ping")
    assert (status, answer["detail"]) == (503, "no processor of that name answers")


def test_one_that_is_gone_is_gone_at_the_gateway_and_the_gateway_was_never_reloaded(
    gateway: Space, home: Space
) -> None:
    selector = "app.kubernetes.io/component=gateway"
    (before,) = home.listing("pods", selector)
    home.kubectl("delete", "kproc/broad", "--timeout=60s")
    eventually(lambda: gateway.ask("GET", f"{GATEWAY}/broad/ping")[0] == 503, timeout=STARTED)
    (after,) = home.listing("pods", selector)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_websockets_pass(gateway: Space, home: Space) -> None:
    server = pods.pod(NAMESPACE, "kato-echo", home.image, ["python3", "-c", ECHO], enableServiceLinks=False)
    home.apply(server, pods.service(NAMESPACE, "kato-echo", 8000))
    home.wait("pod/kato-echo")
    address = f"{GATEWAY.replace('http', 'ws', 1)}/echo/ws/talk?a=%2Fb"

    assert talk(gateway, address) == "/ws/talk?a=%2Fb hello"


def talk(space: Space, address: str) -> str:
    """Send one message over a WebSocket and return the answer."""
    answers: list[str] = []

    def answered() -> bool:
        answers.append(space.inside("sh", "-c", f"python3 -c '{TALK}' '{address}' || true").strip())
        return bool(answers[-1])

    eventually(answered, timeout=STARTED, interval=1)
    return answers[-1]
