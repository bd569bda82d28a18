"""Every example of docs/differences.md runs as it stands there, against a service of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kato_client import KatoClient
from tests.support.documents import blocks
from tests.support.service_process import ServiceProcess

PAGE = (Path(__file__).parents[2] / "docs" / "differences.md").read_text()
INTRODUCTION, *SECTIONS = PAGE.split("\n## ")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What an example may use: a client, and the helpers of the introduction."""
    directory = tmp_path_factory.mktemp("differences")
    with ServiceProcess(directory).start() as service, KatoClient(service.url) as kato:
        known: dict[str, Any] = {"kato": kato}
        run(INTRODUCTION, known)
        yield known


def run(text: str, names: dict[str, Any]) -> None:
    """Run the one block of a text."""
    (block,) = blocks(text)
    assert block.language == "python"
    exec(compile(block.text, "docs/differences.md", "exec"), names)  # noqa: S102 - our own page


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("\n")[0])
def test_the_example_runs(section: str, names: dict[str, Any]) -> None:
    run(section, dict(names))
