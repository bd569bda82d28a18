"""Every command that README and docs/install.md give for a cluster runs, in the order in which it stands there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.e2e.release import ROOT, Release

BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = ("docs/install.md",)


@pytest.fixture
def bare(release: Release) -> Iterator[Release]:
    """The cluster before the reader has typed anything, and as the other tests want it afterwards."""
    release.uninstall()
    yield release
    release.install()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs(bare: Release, page: str) -> None:
    commands = cluster_commands(page)
    assert commands[0].startswith("helm install")
    assert commands[-1].startswith("helm uninstall")
    for command in commands:
        bare.cluster.run("bash", "-euc", f"cd {shlex.quote(str(ROOT))}; {command}", timeout=300)


def cluster_commands(page: str) -> list[str]:
    """Return the commands of the part "On a cluster" of a page, one a line."""
    _, _, part = (ROOT / page).read_text().partition("\n## On a cluster\n")
    return "".join(BLOCK.findall(part.partition("\n## ")[0])).splitlines()
