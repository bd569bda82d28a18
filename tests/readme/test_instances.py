"""docs/instances.md runs as it stands there, by the shell, and prints what it shows; its neighbours' links lead on."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from kato_operator.local.home import Home
from tests.support.cli import ROOT, Kato
from tests.support.documents import blocks, chunks, shape, shown_after, steps

PAGES = [ROOT / "docs" / name for name in ("instances.md", "cli.md", "from-docker-compose.md")]


@pytest.mark.timeout(600)
def test_every_command_of_the_guide_runs_and_prints_what_is_shown(tmp_path: Path) -> None:
    page = blocks(PAGES[0].read_text())
    assert {block.language for block in page} == {"sh", "text"}
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    home = Home(tmp_path / "home")
    path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "KATO_HOME": str(home.root), "COLUMNS": "80", "PATH": path}
    try:
        ran = subprocess.run(
            ["bash", "-c", "set -euo pipefail\n" + "\n".join(steps(page))],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        Kato(home, tmp_path).clean()
    assert ran.returncode == 0, ran.stdout
    printed = dict(chunks(ran.stdout))
    for number, expected in shown_after(page):
        got = [shape(line) for line in printed[number].splitlines()]
        for line in expected.splitlines():
            assert shape(line) in got, f"the guide shows {line!r}; block {number} printed:\n{printed[number]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
