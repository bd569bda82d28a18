"""The answers of all golden cases to the last byte: `python -m tests.unit.engine.answers` writes them anew.

The derivations say what is right up to the rounding of a few operations; this file says which double it is, so that
neither twin moves by a bit unseen. Two lines a case: `# ` and what it is, then the answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.engine.kb import case_kb

GOLDEN = Path(__file__).parents[2] / "golden"
ANSWERS = GOLDEN / "engine" / "answers.txt"
CASE_FILES = ("every-metric", "affinity", "recall", "blocks", "ensemble", "modes")


def derived_cases() -> list[dict[str, Any]]:
    """Return the cases whose every value is derived by hand."""
    return [case for name in CASE_FILES for case in json.loads((GOLDEN / "engine" / f"{name}.json").read_text())]


def specified_cases() -> list[dict[str, Any]]:
    """Return the 20 cases that came with the specification."""
    cases: list[dict[str, Any]] = json.loads((GOLDEN / "vectors.json").read_text())
    return cases


def rendered() -> bytes:
    """Return what the answers' file has to hold."""
    lines: list[bytes] = []
    for case in [*specified_cases(), *derived_cases()]:
        matcher, stm, parameters = case_kb(case)
        lines += [f"# {case.get('name') or case['shows']}".encode(), matcher.predict(stm, parameters)]
    return b"\n".join(lines) + b"\n"


if __name__ == "__main__":
    ANSWERS.write_bytes(rendered())
