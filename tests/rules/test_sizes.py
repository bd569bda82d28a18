"""House habit: a function ends at 60 lines, a file at 400; generated files aside."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LINES = 400
FUNCTION_LINES = 60


def python_files() -> Iterator[Path]:
    for source in ("crds", "operator", "service", "tests"):
        yield from sorted((ROOT / source).rglob("*.py"))


def test_files_fit_a_sitting() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in python_files() if (lines := count(path)) > FILE_LINES}
    assert not long


def test_functions_fit_a_screen() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES
    }
    assert not long


def count(path: Path) -> int:
    return path.read_text().count("\n")
