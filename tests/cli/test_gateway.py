"""`kato gateway` before real instances: each is reached by its path, as soon as it runs."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from websockets.sync.client import connect

from kato_operator.local.home import Home
from tests.support import http
from tests.support.cli import Kato


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kato, httpx.Client]]:
    """Two instances, and a client of the gateway before them."""
    directory: Path = tmp_path_factory.mktemp("gateway")
    kato = Kato(Home(directory / "home"), directory)
    gateway = kato.begin("gateway", "--port", "0")
    try:
        kato.write("two.yaml", "instances: [{id: processor-1, recall_threshold: 0.1}, {id: processor-2}]")
        kato("apply", "-f", "two.yaml")
        assert gateway.stdout is not None
        address = gateway.stdout.readline().partition("/ID/")[0]
        with http.Client(base_url=address, timeout=60) as client:
            yield kato, client
        gateway.send_signal(signal.SIGINT)
        assert gateway.wait(30) == 0
    finally:
        gateway.kill()
        gateway.communicate()
        kato.clean()


def test_each_path_reaches_its_own_instance(front: tuple[Kato, httpx.Client]) -> None:
    _, client = front
    for name in ("processor-1", "processor-2"):
        assert client.get(f"/{name}/ping").json()["id"] == name
    events = [{"strings": [symbol]} for symbol in ("x", "y", "z")]
    session = client.post("/processor-2/sessions", json={"user_id": "me"}).json()["session_id"]
    learned = client.post(f"/sessions/{session}/observe-sequence", json={"observations": events, "learn_at_end": True})
    assert learned.json()["processor_id"] == "processor-2"
    client.post("/processor-2/observe", json={"strings": ["x"]}).raise_for_status()
    stms = [client.get(f"/{name}/stm").json()["stm"] for name in ("processor-1", "processor-2")]
    assert stms == [[], [["x"]]]
    answer = client.post(f"/processor-2/sessions/{session}/predictions", json={"stm": [["x"], ["y"]]}).json()
    assert answer["predictions"][0]["future"] == [["z"]]
    assert client.get("/processor-1/predictions").json()["predictions"] == []


def test_instances_are_known_the_moment_they_run_and_no_longer(front: tuple[Kato, httpx.Client]) -> None:
    kato, client = front
    assert client.get("/third/ping").json()["error"]["processors"] == ["processor-1", "processor-2"]
    kato("start", "--id", "third")
    assert client.get("/third/ping").json()["id"] == "third"
    assert set(client.get("/").json()["processors"]) == {"processor-1", "processor-2", "third"}
    kato("stop", "third")
    assert client.get("/third/ping").status_code == 404


def test_events_pass_through_its_websocket(front: tuple[Kato, httpx.Client]) -> None:
    _, client = front
    address = str(client.base_url.join("/processor-1/ws/events")).replace("http", "ws", 1)
    with connect(address, open_timeout=30, proxy=None) as socket:
        assert json.loads(socket.recv(timeout=30))["data"]["system_status"]["processor_id"] == "processor-1"
        made = client.post("/processor-1/sessions", json={"user_id": "me"}).json()["session_id"]
        told = json.loads(socket.recv(timeout=30))
        assert (told["event_type"], told["data"]["session_id"]) == ("session.created", made)


def test_the_api_s_pages_work_behind_its_prefix(front: tuple[Kato, httpx.Client]) -> None:
    _, client = front
    for page in ("docs", "redoc"):
        html = client.get(f"/processor-2/{page}").raise_for_status().text
        (document,) = set(re.findall(r"""(?:url: '|spec-url=")([^'"]+)""", html))
        described = client.get(f"/processor-2/{document}").raise_for_status()
        (server,) = described.json()["servers"]
        # As OpenAPI has it: relative to where the document is.
        assert client.get(f"{urljoin(str(described.url), server['url'])}ping").json()["id"] == "processor-2"


def test_a_port_that_is_taken_names_its_holder(kato: Kato) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        refused = kato("gateway", "--port", str(port), code=1).err
    assert f"--port: {port} is not allowed; allowed: a free port; " in refused
    assert refused.count("\n") == 1
    assert "--host: '192.0.2.1' is not allowed" in kato("gateway", "--host", "192.0.2.1", "--port", "0", code=1).err
