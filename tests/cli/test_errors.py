"""What users get wrong, and what machines do to them: one line each that says what to do, and nothing half done."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys

import pytest

from kato_operator.local import processes
from kato_operator.local.registry import Instance, Registry, now
from tests.support.cli import Kato

# Root may write and signal anything; without its capabilities it is a user like any other.
AS_A_USER = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


def refused(kato: Kato, *words: str, limit: int | None = None) -> str:
    """Run a command as a user without privileges, its files at most `limit` bytes long; return its one line."""
    ran = subprocess.run(
        [*AS_A_USER, sys.executable, "-m", "kato_cli", *words],
        cwd=kato.directory,
        env={**os.environ, "KATO_HOME": str(kato.home.root)},
        preexec_fn=None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
    assert ran.stderr.count("\n") == 1, ran.stderr
    return ran.stderr


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (
            "instances: [{id: a, colour: red}]",
            ["f.yaml:1: instances[0].colour: is no key of an instance; the keys: id"],
        ),
        (
            "instances:\n- id: a\n  port: high",
            ["f.yaml:3: instances[0].port: 'high' is not allowed; allowed: 1..65535"],
        ),
        (
            "instances:\n- id: a\n- id: a",
            ["f.yaml:3: instances[1].id: 'a' is given twice, first at f.yaml:2: leave one"],
        ),
        (
            "instances:\n- {id: a, port: 8123}\n- {id: b, port: 8123}",
            ["f.yaml:3: instances[1].port: 8123 is given twice, first at f.yaml:2: take another port"],
        ),
        (
            "instances:\n- id: a\n  recall-threshold: 2\n- id: '!'\n",
            ["f.yaml:3: instances[0].recall-threshold: 2 is not", "f.yaml:4: instances[1].id: '!' is not allowed"],
        ),
        ("instances:\n- id: a\n  name: [\n", ["f.yaml:4:1: neither YAML nor JSON: "]),
    ],
)
def test_a_wrong_file_is_blamed_at_its_place_and_starts_nothing(kato: Kato, content: str, problems: list[str]) -> None:
    file = kato.write("f.yaml", content)
    told = kato("apply", "-f", file, code=1).err.splitlines()
    assert told[-1] == "kato: nothing was started or changed"
    assert len(told) == len(problems) + 1
    for line, problem in zip(told, problems, strict=False):
        assert line.startswith(f"kato: {problem}")
    assert not kato.home.data("").exists()


def test_a_home_that_cannot_be_written(kato: Kato) -> None:
    kato.home.root.mkdir()
    kato.home.root.chmod(0o500)
    for words in (["list"], ["start", "--id", "a"], ["stop", "--all"]):
        told = refused(kato, *words)
        assert told.startswith(
            f"kato: {kato.home.registry_lock}: Permission denied: make it writable, or set KATO_HOME"
        )
    kato.home.root.chmod(0o700)
    assert list(kato.home.root.iterdir()) == []


def test_a_full_disk_is_said_and_costs_nothing_that_was_there(kato: Kato) -> None:
    kato("start", "--id", "a")
    kato("stop", "a")
    before = {path: path.read_bytes() for path in kato.home.root.rglob("*.json")}
    told = refused(kato, "start", "--id", "b", limit=0)
    assert told.startswith(f"kato: {kato.home.root}")
    assert told.endswith("make room there, or set KATO_HOME to another disk; nothing that was kept is lost\n")
    assert "did not start: " in refused(kato, "start", "--id", "a", limit=16_384)
    assert list(processes.discover(kato.home)) == []
    assert kato.registry() == {}
    assert {path: path.read_bytes() for path in before} == before
    kato("start", "--id", "a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a process of another user")
def test_a_process_of_another_user_is_named_and_left_alone(kato: Kato) -> None:
    mine = kato.json("start", "--id", "mine")
    stranger = subprocess.Popen([shutil.which("sleep") or "sleep", "600"], user=65534)
    try:
        entry = Instance(
            name="S", container="kato-s", api_port=1, status="running", updated=now(), internal_port=2,
            pid=stranger.pid, started=processes.started(stranger.pid),
        )  # fmt: skip
        with Registry(kato.home, print).changing() as instances:
            instances["s"] = entry
        told = refused(kato, "stop", "--all")
        assert f"PID {stranger.pid} belongs to nobody, and you may not end it: run this as nobody" in told
        assert stranger.poll() is None
        assert kato.json("status", "mine")["pid"] == mine["pid"]  # nothing was stopped
        assert kato.registry()["s"]["status"] == "running"
    finally:
        stranger.kill()
        stranger.wait()


def test_another_program_on_an_instance_s_port_is_told_apart(kato: Kato) -> None:
    """Who answers without knowing the side door's token is not the instance, whatever the registry says."""
    kato("start", "--id", "a")
    other = kato.json("start", "--id", "b")["internal_port"]
    with Registry(kato.home, print).changing() as instances:
        mine = instances["a"]
        instances["a"] = mine.model_copy(update={"internal_port": other, "status": "starting"})
    listed = kato.json("list")["instances"]
    assert (listed["a"]["status"], listed["b"]["status"]) == ("starting", "running")
    with Registry(kato.home, print).changing() as instances:
        instances["a"] = mine.model_copy(update={"internal_port": other})
    assert kato.json("status", "a")["status"] == "not answering"


def test_a_reader_that_has_enough_is_no_error(kato: Kato) -> None:
    listing = kato.begin("list", "--watch")
    assert listing.stdout is not None
    assert listing.stderr is not None
    assert listing.stdout.readline().startswith("ID ")
    listing.stdout.close()
    kato("start", "--id", "a")  # which the watch would tell
    assert listing.wait(30) == 1
    assert listing.stderr.read() == ""
