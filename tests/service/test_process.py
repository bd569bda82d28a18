"""The process itself: what keeps it from starting, said in one line; how it stops; what it finds again."""

from __future__ import annotations

import http.client
import json
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kato_service.stores import sqlite_memory
from tests.support.eventually import eventually
from tests.support.service_process import ServiceProcess

Processes = Callable[..., ServiceProcess]


def complaint(service: ServiceProcess) -> str:
    """Start what cannot start, and return the one line that it says."""
    assert service.spawn().wait() == 1
    (line,) = service.log.read_text().splitlines()
    return line


def test_a_port_that_is_taken(processes: Processes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        line = complaint(processes(port=str(port)))
    assert f"port: {port} is not allowed" in line
    assert "Address already in use" in line


UNCONNECTED = """\
import os, socket, sys
with socket.socket() as silent:
    os.dup2(silent.fileno(), 99)
    os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("descriptor", "reason"),
    [("1", " (Socket operation on non-socket)"), ("98", " (Bad file descriptor)"), ("99", "")],
)
@pytest.mark.parametrize("setting", ["port_fd", "internal_port_fd"])
def test_an_inherited_descriptor_that_is_no_socket_that_listens(
    processes: Processes, setting: str, descriptor: str, reason: str
) -> None:
    service = processes(**{setting: descriptor})
    service.before = [sys.executable, "-c", UNCONNECTED]
    line = f"{setting}: {descriptor} is not allowed; allowed: a socket that listens{reason}"
    assert complaint(service) == f"kato-kato cannot start: {line}"


def test_a_database_of_a_newer_version(processes: Processes) -> None:
    service = processes()
    service.data_dir.mkdir()
    path = service.data_dir / "memory.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.execute("CREATE TABLE later (x)")
    connection.close()
    before = path.read_bytes()
    line = complaint(service)
    assert f"schema version of {path}: 7 is not allowed; allowed: at most {sqlite_memory.VERSION}" in line
    assert path.read_bytes() == before
    assert sorted(each.name for each in service.data_dir.iterdir()) == ["lock", "memory.db"]


def test_a_damaged_database(processes: Processes) -> None:
    service = processes()
    service.data_dir.mkdir()
    for name in ("memory.db", "sessions.db"):
        path = service.data_dir / name
        path.write_bytes(b"garbage" * 1000)
        assert str(path) in complaint(service)
        assert path.read_bytes() == b"garbage" * 1000
        path.unlink()


def test_a_database_damaged_in_the_middle(processes: Processes) -> None:
    service = processes()
    with service.start(), service.client() as api:
        observations = [{"strings": [f"a{i}", "b" * 500]} for i in range(300)]
        session_id = api.post("/sessions", json={"user_id": "u"}).json()["session_id"]
        path = f"/sessions/{session_id}/observe-sequence"
        assert api.post(path, json={"observations": observations, "learn_after_each": True}).status_code == 200
    database = service.data_dir / "memory.db"
    content = bytearray(database.read_bytes())
    content[8192:-4096] = bytes(len(content) - 8192 - 4096)
    database.write_bytes(content)
    assert "memory.db" in complaint(service)


def test_a_data_directory_in_use(processes: Processes) -> None:
    with processes().start() as holder:
        assert holder.process is not None
        other = processes(data_dir=str(holder.data_dir))
        assert f"served by process {holder.process.pid}" in complaint(other)


def test_a_bad_parameters_file(processes: Processes, tmp_path: Path) -> None:
    path = tmp_path / "parameters.json"
    assert "No such file" in complaint(processes(parameters_file=str(path)))
    path.write_text("{")
    assert f"parameters_file {path}: b'{{' is not allowed" in complaint(processes(parameters_file=str(path)))
    path.write_text(json.dumps({"uid": "u", "generation": 1, "parameters": {"recall_threshold": 3}}))
    assert "recall_threshold: 3 is not allowed; allowed: number 0..1" in complaint(processes(parameters_file=str(path)))


def test_a_parameters_file_is_taken_up(processes: Processes, tmp_path: Path) -> None:
    path = tmp_path / "parameters.json"
    record = {"uid": "u", "generation": 1, "parameters": {"max_predictions": 4}, "sessions": {"ttl_seconds": 77}}
    path.write_text(json.dumps(record))
    with processes(parameters_file=str(path)).start() as service, service.client() as api:
        made = api.post("/sessions", json={"user_id": "u"}).json()
        assert (made["ttl_seconds"], made["session_config"]["max_predictions"]) == (77, 4)


def test_the_process_has_the_instance_s_name(processes: Processes) -> None:
    with processes(processor_id="title").start() as service:
        assert service.process is not None
        assert psutil.Process(service.process.pid).cmdline()[0] == "kato-title"


def test_it_finds_again_what_it_learned(processes: Processes) -> None:
    service = processes()
    with service.start(), service.client() as api:
        session_id = api.post("/sessions", json={"user_id": "u"}).json()["session_id"]
        body = {"observations": [{"strings": ["a"]}, {"strings": ["b"]}], "learn_at_end": True}
        api.post(f"/sessions/{session_id}/observe-sequence", json=body)
        api.post(f"/sessions/{session_id}/observe", json={"strings": ["a"]})
        before = api.get(f"/sessions/{session_id}/predictions")
        assert service.stop() == 0
    with service.start(), service.client() as api:
        after = api.get(f"/sessions/{session_id}/predictions")
        assert after.content == before.content
        assert after.json()["count"] == 1


def test_it_stops_when_asked_and_finishes_what_is_in_flight(processes: Processes) -> None:
    service = processes().start()
    with service.client() as api:
        session_id = api.post("/sessions", json={"user_id": "u"}).json()["session_id"]
    observations = [{"strings": [f"w{i * k % 61}" for k in range(1, 9)]} for i in range(400)]
    sent: list[str] = []
    answers: list[int] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        for what, body in (
            ("observe-sequence", {"observations": observations, "learn_after_each": True}),
            ("predictions", {"stm": [["w1"], ["w2"], ["w3"]]}),
        ):
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"/sessions/{session_id}/{what}", json.dumps(body), headers)
            sent.append(what)
            answer = connection.getresponse()
            answer.read()
            answers.append(answer.status)

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: len(sent) == 2, timeout=60)
    assert service.stop() == 0
    asking.join()
    assert answers == [200, 200]
    assert [line["event"] for line in service.lines()][-1] == "stopped"
