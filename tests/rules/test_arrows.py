"""The arrows of docs/architecture.md are executable, cover every room, and can fail."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("crds", "operator", "service")
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

# contract -> (file to break, the import that breaks it)
FORBIDDEN_IMPORTS = {
    "spec": ("crds/kato_spec/keys.py", "import kato_operator"),
    "service-apart": ("service/kato_service/settings.py", "import kato_operator"),
    "operator-apart": ("operator/kato_operator/local/names.py", "import kato_service"),
    "operator-stores": ("operator/kato_operator/reconcile/ports.py", "import pymongo"),
    "client-apart": ("service/kato_client/errors.py", "import kato_service"),
    "service-walk": ("service/kato_service/engine/model.py", "import kato_service.processor.ports"),
    "settings": ("service/kato_service/processor/ports.py", "import kato_service.settings"),
    "web": ("service/kato_service/processor/ports.py", "import fastapi"),
    "stores": ("service/kato_service/processor/ports.py", "import sqlite3"),
    "engine-pure": ("service/kato_service/engine/model.py", "import asyncio"),
    "operator-walk": ("operator/kato_operator/desired/names.py", "import kato_operator.reconcile.ports"),
    "operator-settings": ("operator/kato_operator/reconcile/world.py", "import kato_operator.settings"),
    "kopf": ("operator/kato_operator/reconcile/feed.py", "import kopf"),
    "kubernetes": ("operator/kato_operator/handlers/watching.py", "import kubernetes"),
    "operator-io": ("operator/kato_operator/reconcile/pods.py", "import aiohttp"),
    "operator-pure": ("operator/kato_operator/status/conditions.py", "import time"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for source in SOURCES:
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__", "target"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(tree: Path, contract: str) -> subprocess.CompletedProcess[str]:
    script = (
        "import sys; from importlinter.cli import lint_imports_command; "
        f"sys.path[:0] = {[str(tree / source) for source in SOURCES]!r}; "
        f"lint_imports_command(['--no-cache', '--contract', {contract!r}])"
    )
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


def test_every_contract_has_an_import_that_breaks_it() -> None:
    assert {contract["id"] for contract in CONFIG["contracts"]} == set(FORBIDDEN_IMPORTS)


@pytest.mark.parametrize("contract", FORBIDDEN_IMPORTS)
def test_a_forbidden_import_is_caught(copy: Path, contract: str) -> None:
    path, statement = FORBIDDEN_IMPORTS[contract]
    assert lint_imports(copy, contract).returncode == 0
    with (copy / path).open("a") as file:
        file.write(f"\n{statement}\n")
    broken = lint_imports(copy, contract)
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert "BROKEN" in broken.stdout


def test_every_room_of_the_service_stands_in_the_walk() -> None:
    walk = next(contract for contract in CONFIG["contracts"] if contract["id"] == "service-walk")
    named = {room.strip() for layer in walk["layers"] for room in layer.split("|")}
    outside_the_walk = {"settings", "__init__"}  # `settings` has a contract of its own
    assert rooms("service/kato_service") - outside_the_walk == named


def rooms(package: str) -> set[str]:
    """Return the modules and packages directly in a package directory."""
    return {
        path.stem
        for path in (ROOT / package).iterdir()
        if path.suffix == ".py" or (path.is_dir() and path.joinpath("__init__.py").exists())
    }


def test_kato_spec_imports_pydantic_alone() -> None:
    allowed = set(sys.stdlib_module_names) | {"pydantic", "kato_spec"}
    writers = {"generate.py": {"yaml"}}  # run by developers only; nothing imports it
    for path in sorted((ROOT / "crds/kato_spec").glob("*.py")):
        extra = imported_packages(path) - allowed - writers.get(path.name, set())
        assert not extra, f"{path.name} imports {sorted(extra)}"


def imported_packages(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add((node.module or "").partition(".")[0])
    return found


def test_no_package_file_directly_in_operator() -> None:
    assert not (ROOT / "operator/__init__.py").exists(), "it would shadow the standard library's operator module"
