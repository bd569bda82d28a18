"""Every number of docs/engine.md, computed again: by the arithmetic that stands there, and by the engine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from kato_service.engine.metrics import Metrics
from kato_spec.parameters import RankMetric
from tests.support.documents import blocks
from tests.unit.engine.exact import evaluate
from tests.unit.engine.kb import case_kb

PAGE = (Path(__file__).parents[3] / "docs" / "engine.md").read_text()
LINE = re.compile(r"(?P<what>future of )?(?P<pattern>\w+): (?P<field>\w+) = (?P<steps>.+)")


def lines() -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each line with the case it stands under: JSON blocks say what changes from there on."""
    case: dict[str, Any] = {}
    for block in blocks(PAGE):
        if block.language == "json":
            case = {**case, **json.loads(block.text)}
        else:
            assert block.language == "text"
            yield from ((case, line) for line in block.text.splitlines())


LINES = list(lines())


def found(case: dict[str, Any], of: re.Match[str]) -> Any:  # noqa: ANN401 - any field of the answer
    """Return what the engine says in the place that a line names."""
    matcher, stm, parameters = case_kb({**case, "kb": case["memory"].values()})
    answer = json.loads(matcher.predict(stm, parameters))
    pattern = case["memory"][of["pattern"]][0]
    (prediction,) = [each for each in answer["predictions"] if each["sequence"] == pattern]
    if not of["what"]:
        return prediction[of["field"]]
    (future,) = [each for each in answer["future_potentials"] if each["future"] == prediction["future"]]
    return future[of["field"]]


@pytest.mark.parametrize(("case", "line"), LINES, ids=[line.partition(" = ")[0] for _, line in LINES])
def test_the_line_is_true(case: dict[str, Any], line: str) -> None:
    of = LINE.fullmatch(line)
    assert of is not None, line
    *steps, result = of["steps"].split(" = ")
    value = found(case, of)
    printed = json.loads(result)
    if not steps:
        assert value == printed
        return
    places = len(result.partition(".")[2])
    assert round(value, places) == printed
    assert round(evaluate(steps[-1]), places) == printed


def test_every_score_has_its_line() -> None:
    shown = {match["field"] for _, line in LINES if (match := LINE.fullmatch(line))}
    assert {*Metrics.__dataclass_fields__, *get_args(RankMetric)} <= shown


def test_every_score_has_its_paragraph() -> None:
    assert all(f"**{name}**" in PAGE for name in get_args(RankMetric))
