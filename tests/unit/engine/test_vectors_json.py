"""The 20 cases of the specification: every pinned field of every prediction, in order (engine.md, section 4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.engine.answers import specified_cases
from tests.unit.engine.kb import case_kb, predictions

CASES = specified_cases()


def wanted_of(expected: dict[str, Any]) -> dict[str, object]:
    """Compare floats by a relative 1e-12, since the cases were computed elsewhere, and everything else exactly.

    The weighted ones by 1e-9: the cases keep affinities as floats, engine.md section 1 as multiples of 2**-32.
    """
    return {key: approximate(value, 1e-9 if key.startswith("weighted_") else 1e-12) for key, value in expected.items()}


def approximate(value: object, relative: float) -> object:
    if isinstance(value, float):
        return pytest.approx(value, rel=relative, abs=1e-15)
    if isinstance(value, dict):
        return {key: approximate(item, relative) for key, item in value.items()}
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_pinned_field_is_met(case: dict[str, Any]) -> None:
    found = predictions(*case_kb(case))

    assert [prediction["name"] for prediction in found] == [expected["name"] for expected in case["expected"]]
    for prediction, expected in zip(found, case["expected"], strict=True):
        assert {key: prediction[key] for key in expected} == wanted_of(expected)


def test_the_cases_are_all_there() -> None:
    assert len(CASES) == 20
