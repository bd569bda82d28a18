"""Every command of README.md runs as it stands there, in order, and prints what README.md shows.

One shell runs all blocks of commands in the repository, with a home of its own, so a reader who types them gets the
same. What it prints is compared shape by shape: figures, ports and session ids differ from machine to machine.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kato_spec.manifests import validate
from tests.support.documents import blocks, chunks, outside, shape, shown_after, steps

ROOT = Path(__file__).parents[2]
# What README.md says about a cluster is run on one, by tests/e2e.
README = outside((ROOT / "README.md").read_text(), "On a cluster")
# `make test` runs `make check` and then this test: inside itself it would not end.
RUNS_THIS_TEST = {"make test", "make check"}


BLOCKS = blocks(README)


def test_every_block_has_a_language_that_a_test_reads() -> None:
    assert {block.language for block in BLOCKS} == {"sh", "text", "yaml"}


def test_the_manifest_is_good() -> None:
    documents = [
        document for block in BLOCKS if block.language == "yaml" for document in yaml.safe_load_all(block.text)
    ]
    assert [type(validate(document)).__name__ for document in documents] == ["KatoProcessor", "KatoSession"]


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_exceptions_are_commands_of_the_readme() -> None:
    lines = {line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()}
    assert lines >= RUNS_THIS_TEST


@pytest.mark.timeout(600)
def test_every_command_runs_and_prints_what_is_shown(tmp_path: Path) -> None:
    script = "set -euo pipefail\n" + "".join(f"{step}\n" for step in steps(BLOCKS, leave_out=RUNS_THIS_TEST))
    home = tmp_path / "kato"
    environment = {**os.environ, "KATO_HOME": str(home), "COLUMNS": "80"}
    environment.pop("MAKEFLAGS", None)
    try:
        ran = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    finally:
        subprocess.run([ROOT / ".venv/bin/kato", "stop", "--all"], env=environment, capture_output=True, check=True)
        (ROOT / "smoke.jsonl").unlink(missing_ok=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    printed = dict(chunks(ran.stdout))
    for number, expected in shown_after(BLOCKS):
        got = [shape(line) for line in printed[number].splitlines()]
        for line in promised(expected):
            assert shape(line) in got, f"README shows {line!r}; block {number} printed:\n{printed[number]}"


def promised(expected: str) -> Iterator[str]:
    """Yield the lines that every machine prints: what stands under a rule is read from its own Python's docstrings."""
    before_rule, _, _ = expected.partition("\n ──")
    yield from (line for line in before_rule.splitlines() if line != "...")
