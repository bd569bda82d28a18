"""`kato-operator crds` prints what `make generate` writes."""

from __future__ import annotations

from pathlib import Path

import yaml
from typer.testing import CliRunner

from kato_operator.main import app

CRDS = Path(__file__).parents[3] / "crds"


def test_crds_are_the_generated_files() -> None:
    printed = CliRunner().invoke(app, ["crds"])
    assert printed.exit_code == 0
    shown = {document["metadata"]["name"]: document for document in yaml.safe_load_all(printed.stdout)}
    files = {
        document["metadata"]["name"]: document
        for path in CRDS.glob("*.yaml")
        for document in [yaml.safe_load(path.read_text())]
    }
    assert shown == files
    assert set(shown) == {"katoprocessors.kato.dev", "katosessions.kato.dev"}
