"""docs/first-session.md: its blocks run in order against a real service and print what the page shows."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import blocks
from tests.support.service_process import ServiceProcess

PAGE = Path(__file__).parents[2] / "docs" / "first-session.md"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    before = Path.cwd()
    with ServiceProcess(tmp_path).start() as service:
        os.chdir(tmp_path)
        try:
            yield service.url
        finally:
            os.chdir(before)


def test_every_block_runs_and_prints_what_is_shown(url: str) -> None:
    found = blocks(PAGE.read_text())
    assert {block.language for block in found} == {"python", "text"}
    names: dict[str, Any] = {"URL": url}
    printed = ""
    for block in found:
        if block.language == "text":
            assert printed == block.text
            printed = ""
            continue
        assert not printed, "a block prints what the page does not show"
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(block.text, str(PAGE), "exec"), names)  # noqa: S102 - the page's own code is what is tested
        printed = output.getvalue()
    assert not printed
