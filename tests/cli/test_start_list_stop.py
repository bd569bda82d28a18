"""Instances as processes: started, listed, found again, stopped; with all that may get in the way."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from pathlib import Path

import psutil
import pytest

from kato_operator.local import processes
from kato_operator.local.processes import Identity
from tests.support import http
from tests.support.cli import Kato
from tests.support.eventually import eventually
from tests.support.stores.server import free_port


def test_start_list_stop_and_start_again(kato: Kato) -> None:
    port = free_port()
    started = kato("start", "--id", "first", "--name", "My memory", "--port", str(port), "--recall-threshold", "0.3")
    assert started.out.split() == [
        "id",
        "first",
        "name",
        "My",
        "memory",
        "port",
        str(port),
        "url",
        f"http://127.0.0.1:{port}",
    ]
    assert http.get(f"http://127.0.0.1:{port}/ping").json() == {"status": "okay", "id": "first", "name": "My memory"}
    listed = kato.json("list")["instances"]["first"]
    assert (listed["name"], listed["container"], listed["api_port"], listed["status"]) == (
        "My memory",
        "kato-first",
        port,
        "running",
    )
    assert psutil.Process(listed["pid"]).cmdline()[0] == "kato-first"
    kato("observe", "first", "--each", "a", "b")
    kato("learn", "first")
    shown = dict(re.findall(r"^(\w[\w ]*?) {2,}(.*)$", kato("status", "first").out, re.MULTILINE))
    assert (shown["status"], shown["patterns"]) == ("running", "1")
    assert re.fullmatch(r"\d+[smh]", shown["age"])
    assert "first stopped (memory kept in " in kato("stop", "first").out
    assert not processes.alive(Identity(listed["pid"], listed["started"]))
    assert kato.registry() == {}
    again = kato.json("start", "--id", "first", "--port", str(port))
    assert again["url"] == f"http://127.0.0.1:{port}"
    assert kato.json("list")["instances"]["first"]["patterns"] == 1


def test_a_start_changes_only_what_a_flag_says(kato: Kato) -> None:
    port = str(free_port())
    kato("start", "--id", "a", "--name", "My first memory", "--port", port, "--recall-threshold", "0.3")
    kato("stop", "a")
    assert "name  My first memory\n" in kato("start", "--id", "a").out
    again = kato.json("status", "a")
    assert (again["name"], again["parameters"]) == ("My first memory", {"recall_threshold": 0.3})
    assert str(again["api_port"]) == port
    kato("stop", "a")
    kato("start", "--id", "a", "--name", "Renamed", "--persistence", "7")
    changed = kato.json("status", "a")
    assert (changed["name"], changed["parameters"]) == ("Renamed", {"recall_threshold": 0.3, "persistence": 7})


def test_the_list_in_its_forms(kato: Kato) -> None:
    assert "nothing runs" in kato("list").err
    kato("start", "--id", "b", "--name", "A name that is long enough to be cut off by a narrow terminal")
    kato("start", "--id", "a")
    lines = kato("list", COLUMNS="40").out.splitlines()
    assert lines[0].split() == ["ID", "NAME", "STATUS", "PORT", "SESSIONS", "PATTERNS", "PID", "AGE"]
    assert [line.split()[0] for line in lines[1:]] == ["a", "b"]
    assert "A name that is long enough to be cut off by a narrow terminal" in lines[2]
    assert kato("list", "-o", "name").out.split() == ["a", "b"]
    assert "kato-b" in kato("list", "-o", "wide").out
    assert "api_port:" in kato("list", "-o", "yaml").out
    assert kato("stop", "--all").out.count("stopped") == 2


def test_a_name_finds_an_instance_unless_two_have_it(kato: Kato) -> None:
    kato("start", "--id", "a", "--name", "Twin")
    assert kato.json("status", "Twin")["id"] == "a"
    kato("start", "--id", "b", "--name", "Twin")
    assert "several are named 'Twin': use one of a, b" in kato("stop", "Twin", code=1).err
    assert kato("stop", "kato-a").out.startswith("a stopped")
    assert kato("stop", "Twin").out.startswith("b stopped")


def test_stopping_twice_is_no_error_but_an_unknown_one_is(kato: Kato) -> None:
    kato("start", "--id", "a")
    assert kato("stop", "a", "a").out.count("stopped") == 1
    assert "was stopped already" in kato("stop", "a").out
    kato("start", "--id", "b")
    unknown = kato("stop", "b", "nobody", code=1)
    assert unknown.err == "kato: no instance 'nobody' runs here; what runs: b\n"
    assert kato.json("list")["instances"]["b"]["status"] == "running"
    assert "name the instances, or give --all" in kato("stop", code=2).err
    for path in (".", "", "../data/a"):
        assert kato("stop", path, code=1).err == f"kato: no instance {path!r} runs here; what runs: b\n"
    assert "no instance '../data/a' runs here" in kato("logs", "../data/a", code=1).err


def test_the_same_id_starts_once(kato: Kato) -> None:
    racing = [kato.begin("start", "--id", "one") for _ in range(3)]
    ended = [(process.communicate(), process.returncode) for process in racing]
    assert sorted(code for _, code in ended) == [0, 1, 1]
    assert sum("one runs already on port" in err for (_, err), _ in ended) == 2
    assert len(list(processes.discover(kato.home))) == 1


def test_a_taken_port_is_passed_over_or_named(kato: Kato) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        exact = kato("start", "--id", "a", "--port", str(taken), "--exact-port", code=1)
        assert exact.err.startswith(f"kato: port {taken} is taken by ")
        assert f"(PID {os.getpid()})" in exact.err
        assert kato("list").out == ""
        moved = kato("start", "--id", "a", "--port", str(taken)).out
        assert f"({taken} was taken)" in moved
        closed = kato("start", "--id", "b", "--port-range", f"{taken}-{taken}", code=1)
        assert f"no port of {taken}-{taken} is free" in closed.err


def held_back(directory: Path) -> Path:
    """Have instances with `directory` on PYTHONPATH wait as they begin, 60 s at most; return the file that ends it."""
    go = directory / "go"
    (directory / "sitecustomize.py").write_text(
        f"""import os, time
end = time.monotonic() + 60
while "KATO_INSTANCE" in os.environ and not os.path.exists({str(go)!r}) and time.monotonic() < end:
    time.sleep(0.01)  # between two looks for a file: nothing else reaches a process that has not begun
"""
    )
    return go


def test_no_other_program_gets_a_port_between_its_choice_and_the_service_s_first_step(
    kato: Kato, tmp_path: Path
) -> None:
    go = held_back(tmp_path)
    starting = kato.begin("start", "--id", "a", PYTHONPATH=str(tmp_path))
    (found,) = eventually(lambda: list(processes.discover(kato.home)), timeout=60, interval=0.01)
    for taken in (found.api_port, found.internal_port):
        with pytest.raises(OSError, match="Address already in use"):
            socket.create_server(("127.0.0.1", taken))
    go.touch()
    out, err = starting.communicate()
    assert (starting.returncode, err) == (0, ""), out
    assert kato.json("status", "a")["api_port"] == found.api_port


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recall-threshold", "1.5"], "--recall-threshold: 1.5 is not allowed; allowed: number 0..1"),
        (["--max-seq-length", "-1"], "--max-pattern-length: -1 is not allowed"),
        (["--rank-sort-algo", "magic"], "--rank-sort-algo: 'magic' is not allowed; allowed: one of potential"),
        (["--port", "0"], "--port: 0 is not allowed; allowed: 1..65535"),
        (["--exact-port"], "--exact-port: True is not allowed; allowed: only together with --port"),
        (["--id", "sessions"], "id: 'sessions' is not allowed"),
        (["--id", "!"], "id: '!' is not allowed"),
        (["--unknown"], "No such option: --unknown"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(kato: Kato, words: list[str], message: str) -> None:
    ran = kato("start", *words, code=2)
    assert message in ran.err
    assert ran.err.startswith("kato: ")
    assert ran.err.endswith("(`kato start --help` shows how)\n")
    assert ran.err.count("\n") == 1
    assert not kato.home.root.exists()


def test_every_parameter_and_older_spelling_has_a_flag(kato: Kato) -> None:
    lengths = ["--max-seq-length", "7", "--persistence", "9"]
    kato("start", "--id", "a", *lengths, "--no-sort-symbols", "--stm-mode", "ROLLING", "--filter-pipeline", "length")
    expected = {"max_pattern_length": 7, "persistence": 9, "sort_symbols": False, "stm_mode": "ROLLING"}
    expected |= {"filter_pipeline": ["length"]}
    assert kato.json("status", "a")["parameters"] == expected
    session = http.post(kato.json("status", "a")["url"] + "/sessions", json={"user_id": "me"}).json()
    assert session["session_config"].items() >= expected.items()


def test_an_id_is_sanitised_and_said(kato: Kato) -> None:
    ran = kato("start", "--id", "My Memory!")
    assert ran.err == "kato: ID 'My Memory!' became my-memory\n"
    assert "my-memory" in ran.out
    assert "my-memory runs already" in kato("start", "--id", "my memory", code=1).err


def test_a_killed_instance_is_gone_from_the_list_and_starts_again(kato: Kato) -> None:
    begun = kato.json("start", "--id", "a")
    identity = Identity(begun["pid"], begun["started"])
    os.kill(identity.pid, signal.SIGKILL)
    eventually(lambda: not processes.alive(identity))
    assert kato("list").err.startswith(f"kato: a (PID {identity.pid}) is gone: entry dropped, memory kept\n")
    assert kato("list").err.startswith("kato: nothing runs")
    kato("start", "--id", "a")


def test_a_damaged_registry_is_set_aside_and_rebuilt(kato: Kato) -> None:
    started = kato.json("start", "--id", "a", "--name", "Kept")
    kato.home.registry.write_text('{"instances": {"a"')
    ran = kato("list", "-o", "json")
    assert "was damaged: kept as instances.json.bad-" in ran.err
    rebuilt = json.loads(ran.out)["instances"]["a"]
    assert [rebuilt[key] for key in ("name", "api_port", "pid")] == ["Kept", started["api_port"], started["pid"]]
    assert [file.read_text() for file in kato.home.root.glob("*.bad-*")] == ['{"instances": {"a"']
    kato.home.registry.unlink()
    assert kato("stop", "a").out.startswith("a stopped")


def test_a_process_that_no_entry_names_gives_way_to_a_new_start(kato: Kato) -> None:
    orphan = kato.json("start", "--id", "a")["pid"]
    kato.home.registry.write_text('{"instances": {}}')
    assert kato.json("start", "--id", "a")["pid"] != orphan
    assert [found.identity.pid for found in processes.discover(kato.home)] == [kato.registry()["a"]["pid"]]


def test_a_registry_of_a_newer_kato_is_refused_by_every_command(kato: Kato) -> None:
    kato.home.prepare()
    kato.home.registry.write_text('{"instances": {}, "version": 9}')
    file = kato.write("f.yaml", "instances: [{id: a}]")
    for words in (["list"], ["start", "--id", "a"], ["stop", "--all"], ["apply", "-f", file]):
        assert "version: 9 is not allowed; allowed: up to 1" in kato(*words, code=1).err
    assert json.loads(kato.home.registry.read_text()) == {"instances": {}, "version": 9}
    assert list(processes.discover(kato.home)) == []


def test_a_start_that_fails_says_why_and_leaves_nothing(kato: Kato) -> None:
    kato("start", "--id", "a")
    kato("stop", "a")
    (kato.home.data("a") / "memory.db").write_bytes(b"not a database at all" * 100)
    failed = kato("start", "--id", "a", code=1)
    assert failed.err.startswith("kato: a did not start: kato-a cannot start: ")
    assert failed.err.count("\n") == 1
    assert kato.registry() == {}
    assert list(processes.discover(kato.home)) == []


def test_ctrl_c_during_a_start_leaves_nothing(kato: Kato, tmp_path: Path) -> None:
    held_back(tmp_path)  # Ctrl-C surely comes before the instance answers
    starting = kato.begin("start", "--id", "a", PYTHONPATH=str(tmp_path))
    eventually(lambda: list(processes.discover(kato.home)), timeout=60, interval=0.01)
    starting.send_signal(signal.SIGINT)
    out, err = starting.communicate()
    assert starting.returncode == 130, out + err
    assert kato.registry() == {}
    assert list(processes.discover(kato.home)) == []


def test_logs_of_running_and_stopped_instances(kato: Kato) -> None:
    kato("start", "--id", "a")
    assert '"event":"serving"' in kato("logs", "a").out
    following = kato.begin("logs", "a", "--follow", "--tail", "1")
    kato("observe", "a", "x")
    output = following.stdout
    assert output is not None
    assert eventually(lambda: "/observe" in output.readline())
    following.send_signal(signal.SIGINT)
    following.communicate()
    kato("stop", "a")
    assert '"event":"stopped"' in kato("logs", "a", "--tail", "1").out
    assert "what runs: nothing" in kato("logs", "nobody", code=1).err


def test_a_home_is_its_owners_alone(kato: Kato) -> None:
    kato("start", "--id", "a")
    data = kato.home.data("a")
    for path in (kato.home.root, data, data / "internal-token", *data.glob("*.json")):
        assert path.stat().st_mode & 0o077 == 0, path
    token = (kato.home.data("a") / "internal-token").read_text()
    assert token not in kato.home.registry.read_text() + kato.home.log("a").read_text()


def test_two_homes_share_nothing(kato: Kato, tmp_path: Path) -> None:
    kato("start", "--id", "a")
    other = str(tmp_path / "other")
    assert "nothing runs" in kato("list", KATO_HOME=other).err
    assert "what runs: nothing" in kato("stop", "a", code=1, KATO_HOME=other).err
    assert kato("list", "-o", "name").out == "a\n"
