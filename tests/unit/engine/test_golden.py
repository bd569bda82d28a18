"""Small KBs with every value derived by hand beside it: one for each formula of section 4 and each trap of section 7.

A golden value is `[expression, why]`; the expression is computed to 60 digits by `exact`, never by the engine.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from kato_service.engine.metrics import Metrics
from kato_service.engine.naming import pattern_name
from kato_service.engine.oracle import OracleMatcher
from tests.unit.engine.answers import ANSWERS, GOLDEN, derived_cases, rendered
from tests.unit.engine.exact import evaluate
from tests.unit.engine.kb import case_kb

CASES = derived_cases()
NAMES: list[dict[str, Any]] = json.loads((GOLDEN / "engine" / "names.json").read_text())


def derived(value: object) -> object:
    """Return what a golden value stands for; a derived number may differ by the rounding of a few operations."""
    match value:
        case [str(expression), str()]:
            return pytest.approx(evaluate(expression), rel=2e-15, abs=0)
        case dict():
            return {key: derived(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["shows"])
def test_derivations(case: dict[str, Any]) -> None:
    matcher, stm, parameters = case_kb(case)

    answer = json.loads(matcher.predict(stm, parameters))

    assert len(answer["predictions"]) == len(case["predictions"])
    for prediction, golden in zip(answer["predictions"], case["predictions"], strict=True):
        if "printed" in golden:
            assert prediction["name"] == sha1(golden["printed"])
        wanted = golden.get("shown", {}) | derived(golden["metrics"])
        assert {key: prediction[key] for key in wanted} == wanted
    if "future_potentials" in case:
        wanted_futures = [entry | derived(metrics_of(entry)) for entry in case["future_potentials"]]
        assert answer["future_potentials"] == wanted_futures
    check_symbols(matcher, case)


def metrics_of(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in ("aggregate_potential", "total_weighted_frequency")}


def check_symbols(matcher: OracleMatcher, case: dict[str, Any]) -> None:
    for symbol, wanted in case.get("symbols", {}).items():
        found = matcher.symbol(symbol)
        assert found is not None
        assert found.frequency == wanted["frequency"]
        assert found.pattern_member_frequency == wanted["pattern_member_frequency"]
        assert found.affinity == derived(wanted["affinity"])


def test_every_metric_is_derived_somewhere() -> None:
    covered = {name for case in CASES for golden in case["predictions"] for name in golden["metrics"]}
    shown = {name for case in CASES for golden in case["predictions"] for name in golden.get("shown", {})}

    assert set(Metrics.__dataclass_fields__) <= covered | shown
    assert set(Metrics.__dataclass_fields__) - {"frequency", "fragmentation"} <= covered


def test_answers_are_the_same_to_the_last_byte() -> None:
    assert rendered().splitlines() == ANSWERS.read_bytes().splitlines()


@pytest.mark.parametrize("golden", NAMES, ids=lambda golden: golden["shows"])
def test_pattern_names(golden: dict[str, Any]) -> None:
    assert sha1(golden["printed"]) == golden["sha1"]
    assert pattern_name(tuple(tuple(event) for event in golden["events"])) == golden["sha1"]


def sha1(printed: str) -> str:
    return hashlib.sha1(printed.encode(), usedforsecurity=False).hexdigest()
