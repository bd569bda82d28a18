"""The sessions of an instance from the shell: made, listed, shown, ended."""

from __future__ import annotations

import re

import pytest

from tests.support import http
from tests.support.cli import Kato


def test_a_session_from_its_making_to_its_end(running: Kato) -> None:
    extras = ["--ttl", "50", "--metadata", "team=red", "--recall-threshold", "0.3", "--max-seq-length", "7"]
    made = running("session", "new", "a", "--user", "walker", *extras).out.strip()
    shown = running.json("session", "get", "a", made)
    assert (shown["user_id"], shown["ttl_seconds"], shown["metadata"]) == ("walker", 50, {"team": "red"})
    assert shown["session_config"].items() >= {"recall_threshold": 0.3, "max_pattern_length": 7}.items()
    running("observe", "a", "x", "--session", made)
    row = running("sessions", "a", "--user", "walker", "-o", "wide").out.splitlines()[1].split()
    assert (row[:3], row[5:]) == ([made, "walker", "1"], ["50s", "team=red"])
    assert running("sessions", "a", "--user", "walker", "-o", "name").out == f"{made}\n"
    listed = running.json("sessions", "a")["sessions"]
    assert made in [one["session_id"] for one in listed]
    assert re.search(r"^  recall_threshold +0\.3$", running("session", "get", "a", made).out, re.MULTILINE)
    assert running("session", "rm", "a", made).out == f"{made} removed\n"
    assert "SESSION_NOT_FOUND" in running("session", "rm", "a", made, code=1).err
    assert "a has no session of walker" in running("sessions", "a", "--user", "walker").err


def test_a_session_follows_its_processor_where_no_flag_says_otherwise(running: Kato) -> None:
    made = running("session", "new", "a", "--user", "follower", "-o", "json").out
    assert '"recall_threshold": 0.3' in made


def test_more_sessions_than_a_page_are_all_listed(running: Kato) -> None:
    url = running.json("status", "a")["url"]
    with http.Client(base_url=url) as client:
        for _ in range(101):
            client.post("/sessions", json={"user_id": "crowd"}).raise_for_status()
    assert len(running("sessions", "a", "--user", "crowd").out.splitlines()) == 102


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["sessions", "nobody"], 1, "no instance 'nobody' runs here; what runs: a"),
        (["session", "get", "a", "a.unknown"], 1, "SESSION_NOT_FOUND"),
        (["session", "new", "a"], 2, "Missing option '--user'"),
        (["session", "new", "a", "-u", "me", "--recall-threshold", "2"], 2, "2.0 is not allowed; allowed: number 0..1"),
        (["session", "new", "a", "-u", "me", "--metadata", "red"], 2, "--metadata 'red': write it as name=value"),
        (["session", "new", "a", "-u", "me", "--ttl", "0"], 2, "greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_one_line(running: Kato, words: list[str], code: int, message: str) -> None:
    ran = running(*words, code=code)
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_session_without_a_command_shows_its_help(running: Kato) -> None:
    assert running("session").out == running("session", "--help").out
