"""The program without its machine: help, flags and settings, and how errors become exit codes."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kato_cli import reference
from kato_cli.commands import LOCAL
from kato_cli.main import KATO, KUBECTL, program, run
from kato_cli.serve import serve
from kato_cli.start import start
from kato_service.settings import Settings
from kato_spec.parameters import OLDER_NAMES, Parameters, allowed, default_of

COMMANDS = [
    *("start", "apply", "delete", "list", "stop", "restart", "status", "logs", "sessions", "observe", "learn"),
    *("predict", "stm", "export", "import", "serve", "gateway", "demo", "session", "stores"),
]
INNER_COMMANDS = ["session new", "session get", "session rm", "stores start", "stores stop", "stores status"]
CLUSTER_COMMANDS = [command for command in COMMANDS if command not in {*LOCAL, "session"}]
PROGRAMS = {"kato": KATO, "kubectl kato": KUBECTL}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def kato(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the program in this process and return exit code, stdout and stderr."""

    def call(*words: str, name: str = "kato") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *words])
        monkeypatch.setenv("COLUMNS", "80")
        code = run(program(PROGRAMS[name]), name)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_lists_the_commands_that_act_where_the_program_does(kato: Run, name: str) -> None:
    code, out, _ = kato("--help", name=name)
    assert code == 0
    listed = re.findall(r"^  (\w+) {2,}\S", out.split("Commands:")[1], re.MULTILINE)
    assert listed == [command for command in COMMANDS if name == "kato" or command not in LOCAL]
    assert "..." not in out.split("Commands:")[1]
    assert f"\n    {name} " in out.split("Examples:")[1]


@pytest.mark.parametrize("command", LOCAL)
def test_what_acts_on_this_machine_alone_is_refused_by_kubectl(kato: Run, command: str) -> None:
    code, out, err = kato(command, "--help", name="kubectl kato")
    assert (code, out) == (2, "")
    assert f"`kato {command}` acts on this machine alone" in err
    assert "Did you mean" not in err
    assert "on a cluster it is `kubectl " in err or command in {"serve", "gateway", "demo", "stores"}


@pytest.mark.parametrize("command", [*CLUSTER_COMMANDS, *(each for each in INNER_COMMANDS if "session" in each)])
def test_what_acts_on_a_cluster_takes_the_words_of_kubectl(kato: Run, command: str) -> None:
    text = kato(*command.split(), "--help", name="kubectl kato")[1]
    assert {"--namespace", "--context", "--kubeconfig"} <= {*re.findall(r"--\w+", text)}


@pytest.mark.parametrize("flag", ["--namespace", "-n", "--context", "--kubeconfig"])
def test_words_of_a_cluster_are_refused_where_this_machine_is_meant(kato: Run, flag: str) -> None:
    for name, words in {"kato": ["list"], "kubectl kato": ["list", "--local"]}.items():
        code, _, err = kato(*words, flag, "x", name=name)
        assert code == 2
        assert f"{'--namespace' if flag == '-n' else flag} is of a cluster: add --kubernetes" in err


@pytest.mark.parametrize(
    "words", [["--exact-port"], ["--port-range", "1-2"], ["--stores"], ["--redis-url", "redis://r"]]
)
def test_what_a_cluster_has_no_use_for_is_refused_there(kato: Run, words: list[str]) -> None:
    code, _, err = kato("start", *words, name="kubectl kato")
    assert code == 2
    assert "are of this machine" in err


@pytest.mark.parametrize("command", [*COMMANDS, *INNER_COMMANDS])
def test_every_command_has_help_with_examples(kato: Run, command: str) -> None:
    code, out, _ = kato(*command.split(), "--help")
    assert code == 0
    assert out.startswith(f"Usage: kato {command} ")
    assert f"\n  Examples:\n    kato {command}" in out
    assert max(map(len, out.splitlines())) <= 80


def test_start_has_a_flag_for_every_parameter_and_says_what_it_may_hold(kato: Run) -> None:
    text = " ".join(kato("start", "--help")[1].split())
    for name in [*Parameters.model_fields, *OLDER_NAMES]:
        assert re.search(rf"--{name.replace('_', '-')}[ ,]", text), name
    assert inspect.signature(start).parameters.keys() >= Parameters.model_fields.keys()
    assert f"Allowed: {allowed('persistence')}. Default: {default_of('persistence')}." in text


def test_serve_has_a_flag_for_every_setting_and_names_its_default(kato: Run) -> None:
    assert [*inspect.signature(serve).parameters] == [*Settings.model_fields]
    text = " ".join(kato("serve", "--help")[1].split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        if field.default is not None:
            shown = "10 MiB" if name == "max_body_bytes" else field.default
            assert f"Default: {shown}." in text, name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "70000"], "--port (KATO_PORT): 70000 is not allowed: Input should be less than or equal to 65535"),
        (
            ["--processor-id", "ping"],
            "--processor-id (KATO_PROCESSOR_ID): 'ping' is not allowed: Value error, is a path",
        ),
        (["--internal-port", "0"], "internal_token is needed where internal_port is set"),
        (["--internal-port-fd", "3"], "internal_port is needed where internal_port_fd is set"),
        (["--log-level", "loud"], "'loud' is not one of"),
    ],
)
def test_serve_refuses_wrong_settings_in_one_line(kato: Run, words: list[str], message: str) -> None:
    code, _, err = kato("serve", *words)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


@pytest.mark.parametrize(
    "words",
    [
        ["--internal-token", "open-sesame", "--port", "70000"],
        ["--redis-url", "http://:open-sesame@r", "--mongodb-uri", "mongodb://m"],
        ["--redis-url", "redis://r", "--mongodb-uri", "u:open-sesame@m"],
    ],
)
def test_serve_never_shows_a_secret(kato: Run, words: list[str]) -> None:
    code, out, err = kato("serve", *words)
    assert code == 2
    assert "open-sesame" not in out + err


@pytest.mark.parametrize("words", [["nonsense"], ["list", "--nonsense"], ["list", "-o", "xml"], ["stop"], ["observe"]])
def test_wrong_usage_is_one_line_with_what_to_do(kato: Run, words: list[str]) -> None:
    code, out, err = kato(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(r"\(`kato[ a-z]* --help` shows how\)\n$", err)


def test_a_home_that_cannot_be_is_one_line(kato: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATO_HOME", "/dev/null")
    assert kato("list") == (1, "", "kato: /dev/null: File exists\n")


def test_the_reference_page_is_checked_for_drift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "cli.md"
    assert reference.main(["--check", str(page)]) == 1
    assert reference.main([str(page)]) == 0
    assert reference.main(["--check", str(page)]) == 0
    page.write_text(page.read_text().replace("Stop instances.", "End instances."))
    assert reference.main(["--check", str(page)]) == 1
    assert "run `make generate`" in capsys.readouterr().err
    for command in [*COMMANDS, *INNER_COMMANDS]:
        assert f"\n## kato {command}\n" in page.read_text()
