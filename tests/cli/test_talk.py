"""The API from the shell: observe, learn, stm and predict, and what the program is as a whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.support import http
from tests.support.cli import ROOT, Kato


@pytest.fixture
def session(running: Kato, request: pytest.FixtureRequest) -> str:
    """A session of a node of its own."""
    url = running.json("status", "a")["url"]
    made: str = http.post(f"{url}/sessions", json={"user_id": request.node.name}).json()["session_id"]
    return made


def test_observe_learn_predict(running: Kato, session: str) -> None:
    assert running("observe", "a", "-s", session, "tea", "milk").out == "a: 1 event in short-term memory\n"
    assert running("observe", "a", "-s", session, "--each", "cup", "drink").out == "a: 3 events in short-term memory\n"
    assert running("stm", "a", "-s", session).out == "milk tea\ncup\ndrink\n"
    assert re.fullmatch(r"PTRN\|[0-9a-f]{40}\n", running("learn", "a", "-s", session).out)
    running("observe", "a", "-s", session, "tea", "milk")
    table = running("predict", "a", "-s", session).out
    assert "expected next" in table
    assert re.search(r"cup drink +0\.67 +1\.00 +[\d.]+ +1 +milk tea", table)
    raw = running.json("predict", "a", "-s", session)
    assert raw["predictions"][0]["future"] == [["cup"], ["drink"]]


def test_a_question_leaves_the_session_as_it_is(running: Kato, session: str) -> None:
    running("observe", "a", "-s", session, "--each", "one", "two", "three")
    running("learn", "a", "-s", session)
    assert "three" in running("predict", "a", "one", "two", "-s", session).out
    assert running("stm", "a", "-s", session).err == "kato: a: the short-term memory is empty\n"
    none = running("predict", "a", "one", "nine", "ten", "-s", session, "--recall-threshold", "0.9")
    assert (none.out, "a recalls nothing" in none.err) == ("", True)


def test_vectors_emotives_and_metadata(running: Kato, session: str) -> None:
    extras = ["--vector", "1,2,3", "--emotive", "joy=0.5", "--metadata", "book=one"]
    assert running("observe", "a", "x", "-s", session, *extras).out == "a: 1 event in short-term memory\n"
    assert "VCTR|" in running("stm", "a", "-s", session).out
    for words, message in {
        ("--vector", "1,b"): "--vector: 'b' is not a number",
        ("--emotive", "joy"): "--emotive 'joy': write it as name=value",
        ("--emotive", "joy=nan"): "--emotive: 'nan' is not a finite number",
        ("--vector", "1,-inf"): "--vector: '-inf' is not a finite number",
        ("--each", "--metadata", "a=b"): "--each is for symbols alone",
        ("\udcff",): r"b'\xff' is not allowed; allowed: text in UTF-8",
    }.items():
        refused = running("observe", "a", "x", *words, code=2).err
        assert message in refused
        assert refused.count("\n") == 1
    assert "--each needs the symbols" in running("observe", "a", "--each", code=2).err


def test_refusals_of_the_service_are_one_line(running: Kato, session: str) -> None:
    empty = running("learn", "a", "-s", session, code=1).err
    assert empty.startswith("kato: Cannot learn from empty STM")
    running("observe", "a", "alone", "-s", session)
    assert running("learn", "a", "-s", session, code=1).err.startswith("kato: nothing learned: ")
    unknown = running("stm", "a", "-s", "a.unknown", code=1).err
    assert "SESSION_NOT_FOUND" in unknown
    assert unknown.count("\n") == 1
    assert "what runs: a" in running("stm", "nobody", code=1).err
    assert "add --session" in running("predict", "a", "x", code=2).err


def test_output_is_plain_unless_it_is_a_terminal(running: Kato, session: str) -> None:
    for words in (["list"], ["predict", "a", "-s", session], ["--help"], ["start", "--help"]):
        ran = running(*words)
        assert "\x1b" not in ran.out + ran.err


def test_version_and_no_command(kato: Kato) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", kato("--version").out)
    assert kato().out == kato("--help").out


@pytest.mark.parametrize("words", [["--help"], ["list"], ["stop", "--all"]])
def test_light_commands_do_not_load_the_service_or_the_operator(words: list[str], kato: Kato) -> None:
    code = (
        "import json, sys; from kato_cli.main import KATO, program, run; sys.argv[1:] = json.loads(sys.argv[1]);"
        "run(program(KATO), 'kato'); heavy = {'fastapi', 'starlette', 'uvicorn', 'kopf', 'kubernetes', 'kato_service',"
        "'httpx', 'aiohttp', 'yaml', 'kato_client.client'};"
        "print(sorted(heavy & {*sys.modules}))"
    )
    environment = {"KATO_HOME": str(kato.home.root), "PATH": ""}
    ran = subprocess.run(
        [sys.executable, "-c", code, json.dumps(words)], capture_output=True, text=True, check=True, env=environment
    )
    assert ran.stdout.splitlines()[-1] == "[]"


def test_the_repository_has_one_manifest_for_the_demo(kato: Kato) -> None:
    missing = kato("demo", code=2).err
    assert "no file 'examples/quickstart.yaml' here: run this in the repository, or name a manifest" in missing
    assert (ROOT / "examples" / "quickstart.yaml").is_file()
