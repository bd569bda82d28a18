"""`restart`, `list --watch`, `status` of a stopped instance, `delete --data`, and what the shell completes."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cli import Kato
from tests.support.stores.server import free_port
from tests.support.terminal import on_a_terminal


def test_a_restart_keeps_port_parameters_and_memory(kato: Kato) -> None:
    kato("start", "--id", "a", "--recall-threshold", "0.3", "--port", str(free_port()))
    kato("observe", "a", "--each", "x", "y")
    kato("learn", "a")
    before = kato.json("status", "a")
    assert kato("restart", "a").out == f"a restarted ({before['url']})\n"
    after = kato.json("status", "a")
    assert after["pid"] != before["pid"]
    assert [after[key] for key in ("api_port", "patterns", "parameters")] == [
        before["api_port"],
        1,
        before["parameters"],
    ]
    kato("stop", "a")
    assert kato("restart", "a").out == f"a started ({before['url']})\n"
    assert kato("restart", "--all").out == f"a restarted ({before['url']})\n"
    assert "no instance 'b' runs here; what runs: a" in kato("restart", "a", "b", code=1).err
    assert kato.json("status", "a")["status"] == "running"


def test_a_restart_says_where_its_port_was_taken(kato: Kato) -> None:
    port = kato.json("start", "--id", "a", "--port", str(free_port()))["api_port"]
    kato("stop", "a")
    with socket.create_server(("127.0.0.1", port)):
        assert re.fullmatch(rf"a started \(http://127.0.0.1:\d+, {port} was taken\)\n", kato("restart", "a").out)


def test_a_stopped_instance_has_a_status_and_a_memory_to_remove(kato: Kato) -> None:
    kato("start", "--id", "a", "--name", "Kept", "--persistence", "9")
    assert "a runs: `kato stop a` first" in kato("delete", "--data", "a", "--yes", code=1).err
    kato("stop", "a")
    stopped = kato.json("status", "a")
    assert [stopped[key] for key in ("name", "status", "parameters")] == ["Kept", "stopped", {"persistence": 9}]
    assert "add --yes" in kato("delete", "--data", "a", code=2).err
    assert "no memory of 'b' here; there is: a" in kato("delete", "--data", "a", "--data", "b", "-y", code=1).err
    assert kato.home.data("a").exists()
    assert kato("delete", "--data", "a", "--yes").out == "a: memory removed\n"
    assert not kato.home.data("a").exists()
    assert "there is: none" in kato("delete", "--data", "a", "--yes", code=1).err
    assert "no instance 'a' runs" in kato("status", "a", code=1).err
    assert "name manifests by -f, or memories" in kato("delete", code=2).err


def test_removing_a_memory_asks_on_a_terminal(kato: Kato) -> None:
    kato("start", "--id", "a")
    kato("stop", "a")
    for answer, told, kept in (("n", "a: memory kept", True), ("y", "a: memory removed", False)):
        with on_a_terminal(kato, "delete", "--data", "a") as terminal:
            terminal.wait_for("[y/N]")
            terminal.type(f"{answer}\n")
            terminal.wait_for(told)
        assert kato.home.data("a").exists() == kept


def test_a_watch_tells_what_came_changed_and_went(kato: Kato) -> None:
    kato("start", "--id", "a")
    watching = kato.begin("list", "--watch", "-o", "json")
    try:
        assert watching.stdout is not None
        seen = (json.loads(line) for line in watching.stdout)
        assert (first := next(seen))["id"] == "a"
        assert first["patterns"] == 0
        kato("observe", "a", "--each", "x", "y")
        kato("learn", "a")
        assert until(seen, patterns=1)["id"] == "a"
        kato("stop", "a")
        assert until(seen, status="gone")["id"] == "a"
    finally:
        watching.send_signal(signal.SIGINT)
        watching.communicate()
    assert watching.returncode in {130, -signal.SIGINT}


def until(seen: Iterator[dict[str, Any]], **wanted: object) -> dict[str, Any]:
    """Return the first of the lines that holds what is wanted; the test's own time limit ends the wait."""
    return next(view for view in seen if view.items() >= wanted.items())


def test_a_watch_prints_a_table_and_on_a_terminal_draws_it_in_place(kato: Kato) -> None:
    kato("start", "--id", "a")
    plain = kato.begin("list", "--watch")
    assert plain.stdout is not None
    assert plain.stdout.readline().split()[:3] == ["ID", "NAME", "STATUS"]
    assert plain.stdout.readline().split()[:3] == ["a", "KatoProcessor", "running"]
    plain.send_signal(signal.SIGINT)
    plain.communicate()
    with on_a_terminal(kato, "list", "--watch", "-o", "wide", width=200) as terminal:
        terminal.wait_for("CONTAINER")
        terminal.wait_for("\x1b[")  # the cursor goes back up
        kato("stop", "a")
        terminal.process.send_signal(signal.SIGINT)
        terminal.process.wait()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (["st"], {"start", "stop", "status", "stm", "stores"}),
        (["stop", ""], {"a"}),
        (["status", "a"], {"a"}),
        (["session", "n"], {"new"}),
    ],
)
def test_the_shell_completes_commands_and_instances(running: Kato, typed: list[str], completed: set[str]) -> None:
    line = " ".join(["kato", *typed])
    asked = {"_KATO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(typed))}
    assert set(running(**asked).out.split()) == completed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion(running: Kato, shell: str) -> None:
    assert (
        "_KATO_COMPLETE=complete_"
        in running("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1").out
    )
