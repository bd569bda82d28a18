"""A bench row tells its ratio and whether its goal is met, and is written with every field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.rows import Row, write_lines


@pytest.mark.parametrize(
    ("row", "ratio", "met"),
    [
        (Row("s", "alone", 3.0, "ms"), None, None),
        (Row("s", "beside", 3.0, "ms", "floor", 2.0), 1.5, None),
        (Row("s", "within", 3.0, "ms", "floor", 2.0, goal=1.5), 1.5, True),
        (Row("s", "over", 3.1, "ms", "floor", 2.0, goal=1.5), 1.55, False),
        (Row("s", "faster", 900.0, "1/s", "peer", 3.0, goal=300, better="higher"), 300.0, True),
        (Row("s", "slower", 899.0, "1/s", "peer", 3.0, goal=300, better="higher"), 899 / 3, False),
        (Row("s", "bound", 51.0, "ms", goal=50.0), None, False),
    ],
)
def test_ratio_and_goal(row: Row, ratio: float | None, met: bool | None) -> None:
    assert (row.ratio, row.met) == (ratio, met)


def test_lines_have_every_field(tmp_path: Path) -> None:
    write_lines([Row("s", "r", 3.0, "ms", "floor", 2.0, goal=2.0, patterns=10, threshold=0.1)], tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {
        "suite": "s",
        "row": "r",
        "value": 3.0,
        "unit": "ms",
        "peer": "floor",
        "peer_value": 2.0,
        "ratio": 1.5,
        "goal": 2.0,
        "met": True,
        "patterns": 10,
        "threshold": 0.1,
    }
