from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from kato_operator.local import processes
from kato_operator.local.home import Home
from kato_operator.local.processes import MARK, Identity
from kato_operator.local.registry import Instance, Registry, Status, now
from kato_spec.errors import Rejected
from tests.support.eventually import eventually
from tests.support.programs import Spawn


@pytest.fixture
def registry(home: Home, notices: list[str]) -> Registry:
    return Registry(home, notices.append)


def entry(process: subprocess.Popen[bytes], *, started: float | None = None, port: int = 8000) -> Instance:
    return Instance(
        name="KatoProcessor",
        container="kato-p1",
        api_port=port,
        status="running",
        updated=now(),
        pid=process.pid,
        started=psutil.Process(process.pid).create_time() if started is None else started,
        internal_port=18000,
    )


def service_environment(home: Home, instance_id: str) -> dict[str, str]:
    return {
        MARK: instance_id,
        processes.HOME_MARK: str(home.root),
        "KATO_PROCESSOR_NAME": "Found again",
        "KATO_PORT": "8123",
        "KATO_INTERNAL_PORT": "18123",
    }


def aside(home: Home) -> list[Path]:
    return sorted(home.root.glob("instances.json.bad-*"))


def test_the_file_has_the_stable_fields_first_and_is_its_owners_alone(
    registry: Registry, home: Home, spawn: Spawn
) -> None:
    with registry.changing() as instances:
        instances["p1"] = entry(spawn())
    content = json.loads(home.registry.read_text())
    assert next(iter(content)) == "instances"
    assert [*content["instances"]["p1"]][:5] == ["name", "container", "api_port", "status", "updated"]
    assert home.registry.stat().st_mode & 0o777 == 0o600
    assert registry.read() == {"p1": Instance.model_validate(content["instances"]["p1"])}


def test_a_change_that_fails_leaves_the_file_as_it_was(registry: Registry, home: Home, spawn: Spawn) -> None:
    with registry.changing() as instances:
        instances["p1"] = entry(spawn())
    before = home.registry.read_bytes()

    def fail() -> None:
        with registry.changing() as instances:
            instances.clear()
            raise KeyError("on purpose")

    with pytest.raises(KeyError):
        fail()
    assert home.registry.read_bytes() == before
    assert [file.name for file in home.root.iterdir() if file.name.startswith(".")] == []


def test_an_entry_whose_process_was_killed_is_dropped_and_said(
    registry: Registry, spawn: Spawn, notices: list[str]
) -> None:
    process = spawn()
    with registry.changing() as instances:
        instances["p1"] = entry(process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert registry.read() == {}
    assert notices == [f"p1 (PID {process.pid}) is gone: entry dropped, memory kept"]
    assert registry.read() == {}
    assert len(notices) == 1


@pytest.mark.parametrize("status", ["starting", "stopping"])
def test_of_one_that_is_being_started_or_stopped_only_the_command_that_does_so_tells(
    registry: Registry, spawn: Spawn, notices: list[str], status: Status
) -> None:
    process = spawn()
    with registry.changing() as instances:
        instances["p1"] = entry(process).model_copy(update={"status": status})
    process.kill()
    process.wait()
    assert registry.read() == {}
    assert notices == []


def test_a_pid_that_another_program_has_taken_is_neither_trusted_nor_signalled(
    registry: Registry, spawn: Spawn
) -> None:
    stranger = spawn()
    recycled = entry(stranger, started=psutil.Process(stranger.pid).create_time() - 60)
    with registry.changing() as instances:
        instances["p1"] = recycled
    assert registry.read() == {}
    processes.stop([recycled.identity])
    assert stranger.poll() is None


def test_an_instance_is_still_itself_after_the_clock_was_set(
    registry: Registry, home: Home, spawn: Spawn, notices: list[str]
) -> None:
    process = spawn("kato_service", env=service_environment(home, "p1"))
    true = processes.started(process.pid)
    with registry.changing() as instances:
        instances["p1"] = entry(process, started=true - 5)
    assert registry.read()["p1"] == Registry(home, notices.append).read()["p1"]
    assert registry.read()["p1"].started == true
    assert notices == []


def test_an_instance_of_another_id_or_home_that_has_the_pid_is_neither_trusted_nor_signalled(
    registry: Registry, home: Home, tmp_path: Path, spawn: Spawn
) -> None:
    registry.read()  # from here on there is a file, so nothing is looked for among the processes
    strangers = [
        spawn("kato_service", env=service_environment(home, "p2")),
        spawn("kato_service", env=service_environment(Home(tmp_path / "other"), "p1")),
        spawn("a-child-that-inherited-the-environment", env=service_environment(home, "p1")),
    ]
    for stranger in strangers:
        recycled = entry(stranger, started=processes.started(stranger.pid) - 5)
        with registry.changing() as instances:
            instances["p1"] = recycled
        assert registry.read() == {}
        processes.stop([recycled.identity])
        assert stranger.poll() is None


def test_stopping_ends_one_that_ignores_the_polite_signal(spawn: Spawn) -> None:
    stubborn = spawn(code="signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    identities = [Identity(p.pid, processes.started(p.pid)) for p in (stubborn, spawn())]
    assert all(map(processes.alive, identities))
    processes.stop(identities)
    assert not any(map(processes.alive, identities))


@pytest.mark.parametrize(
    "content", ["", "{", '{"instances": 3}', '{"instances": {"p1": {"name": 1}}}', "[]", "\x00\xff"]
)
def test_a_damaged_file_is_set_aside_and_rebuilt_from_what_runs(
    registry: Registry, home: Home, spawn: Spawn, notices: list[str], content: str
) -> None:
    process = spawn("kato_service", env=service_environment(home, "p1"))
    home.prepare()
    home.registry.write_text(content)
    found = registry.read()
    assert [(key, one.pid, one.api_port, one.name) for key, one in found.items()] == [
        ("p1", process.pid, 8123, "Found again")
    ]
    assert [file.read_text() for file in aside(home)] == [content]
    assert aside(home)[0].name in notices[0]
    assert registry.read() == found


def test_a_missing_file_is_rebuilt_but_not_from_other_homes_or_programs(
    registry: Registry, home: Home, tmp_path: Path, spawn: Spawn
) -> None:
    spawn("kato_service", env=service_environment(Home(tmp_path / "other"), "p1"))
    spawn("a-child-that-inherited-the-environment", env=service_environment(home, "p2"))
    mine = spawn("kato_service", env=service_environment(home, "p3"))
    eventually(lambda: psutil.Process(mine.pid).cmdline())
    assert {key: one.pid for key, one in registry.read().items()} == {"p3": mine.pid}


def test_a_registry_of_a_newer_kato_is_refused_and_left_alone(registry: Registry, home: Home) -> None:
    home.prepare()
    home.registry.write_text('{"instances": {}, "version": 2}')
    with pytest.raises(Rejected, match=r"version: 2 is not allowed.*upgrade kato"):
        registry.read()
    assert aside(home) == []
    assert json.loads(home.registry.read_text())["version"] == 2


def test_a_mark_never_changes_the_entry_of_another_process(registry: Registry, spawn: Spawn) -> None:
    first, second = entry(spawn()), entry(spawn(), port=8001)
    with registry.changing() as instances:
        instances["p1"] = second
    registry.mark("p1", first.identity, "stopping")
    assert registry.read()["p1"].status == "running"
    registry.mark("p1", second.identity, "stopping")
    assert registry.read()["p1"].status == "stopping"
