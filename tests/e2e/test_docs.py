"""Every command that README and docs/install.md give for a cluster runs, in order, and prints what is shown there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.release import ROOT, Release
from tests.support.documents import blocks, part, shape

PAGES = ("README.md", "docs/install.md")


@pytest.fixture
def bare(release: Release) -> Iterator[Release]:
    """The cluster before the reader has typed anything, and as the other tests want it afterwards."""
    release.uninstall()
    yield release
    release.install()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs_and_prints_what_is_shown(bare: Release, page: str) -> None:
    printed = ""
    for block in blocks(part((ROOT / page).read_text(), "On a cluster")):
        if block.language == "bash":
            printed = bare.type(block.text)
        elif block.language == "text":
            got = [shape(line) for line in printed.splitlines()]
            for line in block.text.splitlines():
                assert shape(line) in got, f"{page} shows {line!r}; printed was:\n{printed}"
