"""`kubectl kato` on a real cluster, as its user types it: one story, from the start of a processor to its stop."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from kato_operator.desired.names import PROCESSOR_LABEL
from tests.e2e.release import ROOT
from tests.e2e.space import STARTED, Space
from tests.support.cluster.cluster import CommandFailed
from tests.support.eventually import eventually

SCRIPTS = ROOT / ".venv" / "bin"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a kubeconfig of their own; its context `theirs`, which is not the current one, names the space."""

    space: Space
    kubeconfig: Path

    def __call__(self, *words: str, by: str = "kubectl kato") -> str:
        """Run a command and return what it printed."""
        command = shlex.join([*by.split(), *words, "--kubeconfig", str(self.kubeconfig), "--context", "theirs"])
        return shell(self.space, command)

    def refused(self, *words: str) -> str:
        """Run a command that must fail, and return the last line of what it said."""
        with pytest.raises(CommandFailed) as caught:
            self(*words)
        return str(caught.value.stderr).splitlines()[-1]

    def may(self, role: str) -> None:
        """Have the account hold one of the cluster's own roles in the space, and none beside it."""
        self.space.kubectl("delete", "rolebinding", "kato-user", "--ignore-not-found")
        account = f"--serviceaccount={self.space.name}:kato-user"
        self.space.kubectl("create", "rolebinding", "kato-user", f"--clusterrole={role}", account)


@pytest.fixture(scope="module")
def kato(space: Space, tmp_path_factory: pytest.TempPathFactory) -> User:
    """Whoever has the role `edit` in the namespace, which docs/install.md says is enough."""
    file = tmp_path_factory.mktemp("user") / "config"
    space.kubectl("create", "serviceaccount", "kato-user")
    token = space.kubectl("create", "token", "kato-user", "--duration", "2h").strip()
    written = json.loads(space.kubectl("config", "view", "--minify", "--flatten", "--raw", "-o", "json"))
    cluster = written["clusters"][0]["name"]
    written["users"] = [{"name": "kato-user", "user": {"token": token}}]
    context = {"cluster": cluster, "user": "kato-user", "namespace": space.name}
    written["contexts"] = [{"name": "theirs", "context": context}]
    written["current-context"] = ""
    file.write_text(json.dumps(written))
    user = User(space, file)
    user.may("edit")
    return user


def shell(space: Space, command: str) -> str:
    """Run a command where kubectl and its plugin are found, with the kubeconfig of the cluster's administrator."""
    return space.cluster.run(
        "bash", "-c", f'export PATH={shlex.quote(str(SCRIPTS))}:"$PATH"; {command}', timeout=STARTED + 240
    )


def pods(space: Space) -> set[str]:
    """Return the UIDs of the pods of the processor `words`."""
    return {pod["metadata"]["uid"] for pod in space.listing("pods", f"{PROCESSOR_LABEL}=words")}


def test_start_makes_a_processor_that_is_ready(kato: User, space: Space) -> None:
    printed = kato("start", "--id", "words", "--name", "My words", "--recall-threshold", "0.3")
    assert printed.split() == [
        "id",
        "words",
        "name",
        "My",
        "words",
        "port",
        "8000",
        "url",
        f"http://kato-words.{space.name}.svc:8000",
    ]
    assert space.get("kproc/words")["spec"]["parameters"] == {"recallThreshold": 0.3}
    assert space.condition("kproc/words", "Ready")["status"] == "True"


def test_an_id_that_is_no_label_becomes_one(kato: User, space: Space) -> None:
    started = json.loads(kato("start", "--id", "My Other!", "-o", "json", "--kubernetes", by="kato"))
    assert re.fullmatch(r"my-other-[0-9a-f]{8}", started["metadata"]["name"])
    assert started["spec"]["displayName"] == "My Other!"


def test_list_status_and_logs(kato: User, space: Space) -> None:
    head, *rows = kato("list").splitlines()
    assert head.split()[:3] == ["NAME", "DISPLAY", "NAME"]
    assert [row.split()[0] for row in rows] == [rows[0].split()[0], "words"]
    assert "My words" in rows[1]
    assert set(json.loads(kato("list", "-o", "json"))["instances"]) == set(kato("list", "-o", "name").split())
    assert re.search(r"^Ready +True", kato("status", "My words"), re.MULTILINE)
    assert '"event":"serving"' in kato("logs", "words")
    assert "there is: " in kato.refused("status", "nobody")


def test_observe_learn_predict_and_sessions(kato: User, space: Space) -> None:
    session = kato("session", "new", "words", "--user", "me").strip()
    assert session.startswith("words.")
    kato("observe", "words", "--session", session, "--each", "wake", "coffee", "walk")
    assert kato("learn", "words", "--session", session).startswith("PTRN|")
    kato("observe", "words", "--session", session, "--each", "wake", "coffee")
    assert kato("stm", "words", "--session", session) == "wake\ncoffee\n"
    best = json.loads(kato("predict", "words", "--session", session, "-o", "json"))["predictions"][0]
    assert best["future"] == [["walk"]]
    assert session in kato("sessions", "words")
    kato("session", "rm", "words", session)
    assert "SESSION_NOT_FOUND" in kato.refused("session", "get", "words", session)


def test_a_rollout_restarts_a_processor_as_the_plugin_says(kato: User, space: Space) -> None:
    instead = re.search(r"on a cluster it is `(.+) kato-ID`", kato.refused("restart", "words"))
    assert instead
    before = pods(space)
    shell(space, f"{instead[1]} kato-words --namespace {space.name} --kubeconfig {kato.kubeconfig} --context theirs")
    eventually(lambda: pods(space) and not before & pods(space), timeout=STARTED)
    space.kubectl("rollout", "status", "deployment/kato-words", f"--timeout={STARTED}s", timeout=STARTED + 10)
    space.wait("kproc/words")
    assert json.loads(kato("predict", "words", "-o", "json"))["predictions"] == []


def test_stop_suspends_and_keeps_everything(kato: User, space: Space) -> None:
    assert kato("stop", "words") == "words stopped (suspended, memory kept)\n"
    eventually(lambda: space.get("kproc/words")["status"].get("replicas", 0) == 0, timeout=STARTED)
    assert space.find("pvc/kato-words-memory") is not None
    assert kato("stop", "words").startswith("words was stopped already")


def test_start_wakes_what_was_stopped(kato: User, space: Space) -> None:
    kato("start", "--id", "words", "--max-predictions", "7")
    spec = space.get("kproc/words")["spec"]
    assert (spec["displayName"], spec["parameters"]) == ("My words", {"recallThreshold": 0.3, "maxPredictions": 7})
    assert len(json.loads(kato("export", "words", "-").splitlines()[-1])["end"]["sha256"]) == 64
    assert "already exists" in kato.refused("start", "--id", "words")


def test_the_administrator_names_the_namespace_alone(kato: User, space: Space) -> None:
    names = shell(space, f"kubectl kato list -o name --namespace {space.name}")
    assert names == kato("list", "-o", "name") != ""


def test_kubectl_completes_the_plugin_s_words(kato: User, space: Space) -> None:
    where = f"--kubeconfig {kato.kubeconfig} --context theirs"
    completed = shell(space, f"kubectl __complete kato status {where} wo").splitlines()
    assert completed[0].split("\t")[0] == "words"
    assert shell(space, f"kubectl __complete kato status {where} nobody").splitlines()[0] == ":4"
    assert "predict" in shell(space, 'kubectl __complete kato ""').split()


def test_whoever_may_only_look_is_told_what_is_forbidden(kato: User, space: Space) -> None:
    kato.may("view")
    assert "words" in kato("list", "-o", "name").split()
    assert re.search(r'cannot patch resource "katoprocessors"', kato.refused("stop", "words"))
    assert re.search(r"cannot create resource \"services/proxy\"|forbidden", kato.refused("observe", "words", "hello"))
