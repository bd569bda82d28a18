"""`kato apply` on this machine: the same verdicts as on a cluster, and the machine becomes what the files say."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

import pytest
import yaml

from kato_operator.local import processes
from tests.support import http
from tests.support.cli import QUICKSTART, Kato, fields
from tests.support.eventually import eventually
from tests.support.manifests import invalid
from tests.support.stores.server import free_port

PROCESSOR = """\
apiVersion: kato.dev/v1alpha1
kind: KatoProcessor
metadata:
  name: {name}
spec:
  parameters:
    recallThreshold: {threshold}
"""
SESSION = """\
apiVersion: kato.dev/v1alpha1
kind: KatoSession
metadata:
  name: reader
spec:
  processorRef:
    name: {processor}
  config:
    maxPredictions: 7
"""
# What guards a PROCESSOR, with the Secret that it names.
GUARD = """\
  auth: {tokensSecretRef: {name: keys}}
---
apiVersion: v1
kind: Secret
metadata:
  name: keys
stringData:
  tokens: open-sesame
"""


def threshold(kato: Kato, instance: str) -> float:
    """Return the recall threshold that a new session gets."""
    url = kato.json("status", instance)["url"]
    value: float = http.post(f"{url}/sessions", json={"user_id": "me"}).json()["session_config"]["recall_threshold"]
    return value


def test_the_quick_start_again_and_again(kato: Kato) -> None:
    first = kato("apply", "-f", str(QUICKSTART)).out.splitlines()
    assert [line.split(" (")[0] for line in first] == [
        "katoprocessor.kato.dev/broad created",
        "katoprocessor.kato.dev/strict created",
        "katosession.kato.dev/reader created",
    ]
    before = kato.registry()
    second = kato("apply", "-f", str(QUICKSTART)).out.splitlines()
    assert {line.split()[1] for line in second} == {"unchanged"}
    assert kato.registry() == before
    session = second[2].removeprefix("katosession.kato.dev/reader unchanged (session ").removesuffix(")")
    found = http.get(f"http://127.0.0.1:{before['broad']['api_port']}/sessions/{session}").json()
    assert found["user_id"] == "reader"
    deleted = kato("delete", "-f", str(QUICKSTART)).out.splitlines()
    assert [line.split()[1] for line in deleted] == ["deleted"] * 3
    assert kato.registry() == {}
    assert kato("delete", "-f", str(QUICKSTART)).err == "kato: nothing of these files was here\n"
    assert (kato.home.data("broad") / "memory.db").exists()


def test_a_change_is_live_without_a_restart_and_prune_stops_what_is_gone(kato: Kato) -> None:
    both = "---\n".join([PROCESSOR.format(name="a", threshold=0.2), PROCESSOR.format(name="b", threshold=0.4)])
    file = kato.write("f.yaml", both + "---\n" + SESSION.format(processor="a"))
    kato("apply", "-f", file)
    by_hand = kato.json("start", "--id", "by-hand")
    before = kato.registry()
    assert (threshold(kato, "a"), threshold(kato, "b")) == (0.2, 0.4)
    kato.write("f.yaml", both.replace("0.4", "0.75") + "---\n" + SESSION.format(processor="a"))
    verdicts = [line.split()[1] for line in kato("apply", "-f", file).out.splitlines()]
    assert verdicts == ["unchanged", "configured", "unchanged"]
    assert kato.registry() == before
    assert threshold(kato, "b") == 0.75
    kato.write("f.yaml", PROCESSOR.format(name="a", threshold=0.2))
    assert [line.split()[:2] for line in kato("apply", "-f", file, "--prune").out.splitlines()] == [
        ["katoprocessor.kato.dev/a", "unchanged"],
        ["katosession.kato.dev/reader", "pruned"],
        ["katoprocessor.kato.dev/b", "pruned"],
    ]
    assert {key: entry["pid"] for key, entry in kato.registry().items()} == {
        "a": before["a"]["pid"],
        "by-hand": by_hand["pid"],
    }
    url = kato.json("status", "a")["url"]
    assert http.get(f"{url}/sessions", params={"user_id": "reader"}).json()["sessions"] == []


def test_nothing_starts_when_any_document_is_invalid(kato: Kato) -> None:
    file = kato.write(
        "f.yaml", PROCESSOR.format(name="good", threshold=0.2) + "---\n" + PROCESSOR.format(name="bad", threshold=2)
    )
    ran = kato("apply", "-f", file, code=1)
    assert ran.err.splitlines() == [
        "kato: f.yaml:15: spec.parameters.recallThreshold: 2 is not allowed; allowed: number 0..1",
        "kato: nothing was started or changed",
    ]
    assert ran.out == ""
    assert list(processes.discover(kato.home)) == []
    assert not kato.home.data("good").exists()


def test_every_row_of_the_invalid_table_is_refused_for_its_field(kato: Kato) -> None:
    rows = invalid()
    for row in rows:
        kato.write(f"{row.name}.yaml", yaml.safe_dump(row.manifest))
    good = kato.write("a-good-one.yaml", PROCESSOR.format(name="good", threshold=0.2))
    ran = kato("apply", "-f", ".", code=1)
    told = [line.removeprefix("kato: ") for line in ran.err.splitlines()[:-1]]
    blamed: dict[str, set[str]] = {}
    for line, field in zip(told, fields(ran.err), strict=True):
        blamed.setdefault(line.split(".yaml:")[0], set()).add(field)
    assert blamed == {row.name: {row.field} for row in rows}
    assert all(line.split(": ")[0].rpartition(":")[2].isdecimal() for line in told)
    assert good.removesuffix(".yaml") not in blamed
    assert list(processes.discover(kato.home)) == []


def test_what_one_machine_cannot_do_is_refused_before_anything_starts(kato: Kato) -> None:
    file = kato.write("f.yaml", PROCESSOR.format(name="a", threshold=0.2) + "  replicas: 2\n")
    assert (
        "f.yaml:8: spec.replicas: 2 is not allowed; allowed: 0 or 1 on one machine"
        in kato("apply", "-f", file, code=1).err
    )
    assert list(processes.discover(kato.home)) == []


def test_cluster_only_fields_are_named_and_change_nothing(kato: Kato) -> None:
    file = kato.write(
        "f.yaml", PROCESSOR.format(name="a", threshold=0.2) + "  image: kato:1\n  nodeSelector: {disk: ssd}\n"
    )
    ran = kato("apply", "-f", file)
    assert ran.err == "kato: katoprocessor/a: no effect on one machine: spec.image, spec.nodeSelector\n"


def test_the_port_of_the_manifest_a_move_and_a_change_of_it(kato: Kato) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        text = PROCESSOR.format(name="a", threshold=0.2)
        file = kato.write("f.yaml", text + f"  port: {taken}\n")
        assert f", port {taken} was taken)" in kato("apply", "-f", file).out
    assert " unchanged (" in kato("apply", "-f", file).out
    before = kato.registry()["a"]
    other = free_port()
    kato.write("f.yaml", text + f"  port: {other}\n")
    assert kato("apply", "-f", file).out == f"katoprocessor.kato.dev/a configured (http://127.0.0.1:{other})\n"
    assert kato.registry()["a"]["pid"] != before["pid"]


def test_a_session_waits_for_its_processor_and_is_deleted_alone(kato: Kato) -> None:
    session = kato.write("s.yaml", SESSION.format(processor="late"))
    assert kato("apply", "-f", session).out == "katosession.kato.dev/reader created (waits for processor late)\n"
    url = kato.json("start", "--id", "late")["url"]
    bound = http.get(f"{url}/sessions", params={"user_id": "reader"}).json()["sessions"]
    assert [one["session_config"]["max_predictions"] for one in bound] == [7]
    kato.write("s.yaml", SESSION.format(processor="elsewhere"))
    moved = kato("apply", "-f", session, code=1).err
    assert "spec.processorRef.name: 'elsewhere' is not allowed; allowed: the present value: it is immutable" in moved
    kato.write("s.yaml", SESSION.format(processor="late"))
    assert kato("delete", "-f", session).out == "katosession.kato.dev/reader deleted\n"
    assert http.get(f"{url}/sessions", params={"user_id": "reader"}).json()["sessions"] == []
    assert kato.registry()["late"]["status"] == "running"


def test_an_instance_that_hangs_holds_up_no_apply_of_other_files(kato: Kato) -> None:
    hung = kato.json("start", "--id", "hung")["pid"]
    file = kato.write("f.yaml", PROCESSOR.format(name="a", threshold=0.2) + "---\n" + SESSION.format(processor="a"))
    os.kill(hung, signal.SIGSTOP)
    try:
        assert [line.split()[1] for line in kato("apply", "-f", file).out.splitlines()] == ["created"] * 2
        assert [line.split()[1] for line in kato("delete", "-f", file).out.splitlines()] == ["deleted"] * 2
    finally:
        os.kill(hung, signal.SIGCONT)
    assert kato("stop", "hung").out.startswith("hung stopped")


def test_suspend_stops_and_resume_finds_the_memory(kato: Kato) -> None:
    text = PROCESSOR.format(name="a", threshold=0.2)
    file = kato.write("f.yaml", text)
    kato("apply", "-f", file)
    kato("observe", "a", "--each", "x", "y")
    kato("learn", "a")
    kato.write("f.yaml", text + "  suspend: true\n")
    assert kato("apply", "-f", file).out == "katoprocessor.kato.dev/a configured (suspended, memory kept)\n"
    assert kato.registry() == {}
    kato.write("f.yaml", text)
    kato("apply", "-f", file)
    assert kato.json("list")["instances"]["a"]["patterns"] == 1


def test_deletion_policy_delete_takes_the_memory_with_it(kato: Kato) -> None:
    file = kato.write("f.yaml", PROCESSOR.format(name="a", threshold=0.2) + "  deletionPolicy: Delete\n")
    kato("apply", "-f", file)
    assert kato("delete", "-f", file).out == "katoprocessor.kato.dev/a deleted\n"
    assert not kato.home.data("a").exists()


def test_tokens_of_a_secret_guard_the_api_and_the_commands_know_them(kato: Kato) -> None:
    kato("apply", "-f", kato.write("f.yaml", PROCESSOR.format(name="a", threshold=0.2) + GUARD))
    assert http.post(f"{kato.json('status', 'a')['url']}/observe", json={"strings": ["x"]}).status_code == 401
    assert kato("observe", "a", "x").out == "a: 1 event in short-term memory\n"
    assert "open-sesame" not in kato.home.registry.read_text() + kato.home.log("a").read_text()


def test_a_start_by_hand_keeps_what_the_manifest_said_until_it_is_deleted(kato: Kato) -> None:
    file = kato.write("f.yaml", PROCESSOR.format(name="a", threshold=0.2) + GUARD)
    kato("apply", "-f", file)
    kato("stop", "a")
    kato("start", "--id", "a")
    assert http.post(f"{kato.json('status', 'a')['url']}/observe", json={"strings": ["x"]}).status_code == 401
    assert kato.json("status", "a")["source"] == str(kato.directory / "f.yaml")
    assert kato("apply", "-f", file).out.startswith("katoprocessor.kato.dev/a unchanged (")
    kato("delete", "-f", file)
    assert "open-sesame" not in (kato.home.data("a") / "asked.json").read_text()
    kato("start", "--id", "a")
    assert kato.json("status", "a")["parameters"] == {}


@pytest.mark.parametrize(
    "content",
    [
        "instances:\n- {id: old one, name: First, port: 8765, max_seq_length: 4}\n",
        '{"instances": [{"id": "old one", "name": "First", "port": 8765, "max-seq-length": 4}]}',
    ],
)
def test_the_older_instance_file(kato: Kato, content: str) -> None:
    file = kato.write("instances.yaml", content)
    assert kato("apply", "-f", file).out.startswith("instance/old-one created (http://127.0.0.1:")
    assert kato("apply", "-f", file).out.startswith("instance/old-one unchanged")
    status: dict[str, Any] = kato.json("status", "old-one")
    assert (status["name"], status["parameters"]) == ("First", {"max_pattern_length": 4})


def test_standard_input_and_two_applies_at_once(kato: Kato) -> None:
    text = PROCESSOR.format(name="a", threshold=0.2)
    racing = [kato.begin("apply", "-f", "-") for _ in range(2)]
    ended = [(process.communicate(text), process.returncode) for process in racing]
    assert [code for _, code in ended] == [0, 0]
    assert sorted(out.split()[1] for (out, _), _ in ended) == ["created", "unchanged"]
    assert len(list(processes.discover(kato.home))) == 1


def test_an_apply_that_was_killed_is_finished_by_the_next(kato: Kato) -> None:
    file = kato.write("f.yaml", PROCESSOR.format(name="a", threshold=0.2) + "---\n" + SESSION.format(processor="a"))
    cut = kato.begin("apply", "-f", file)
    eventually(lambda: list(processes.discover(kato.home)), timeout=60, interval=0.01)
    cut.kill()
    cut.communicate()
    kato("apply", "-f", file)
    assert {line.split()[1] for line in kato("apply", "-f", file).out.splitlines()} == {"unchanged"}
    url = kato.json("status", "a")["url"]
    assert len(http.get(f"{url}/sessions", params={"user_id": "reader"}).json()["sessions"]) == 1
    assert len(list(processes.discover(kato.home))) == 1


def test_files_that_are_not_there(kato: Kato) -> None:
    assert (
        "nowhere.yaml:1: cannot be read: No such file or directory" in kato("apply", "-f", "nowhere.yaml", code=1).err
    )
    assert "Missing option" in kato("apply", code=2).err
