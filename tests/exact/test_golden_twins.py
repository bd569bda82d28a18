"""The golden cases through the fast matcher: the bytes that are pinned, derived by hand or specified (tests/golden)."""

from __future__ import annotations

from typing import Any

import pytest

from kato_service.engine.rust import RustMatcher
from kato_spec.parameters import resolve
from tests.unit.engine.answers import ANSWERS, derived_cases, specified_cases
from tests.unit.engine.kb import events_of, learning_of

CASES = [*specified_cases(), *derived_cases()]
PINNED = ANSWERS.read_bytes().splitlines()[1::2]


@pytest.mark.parametrize(("case", "pinned"), list(zip(CASES, PINNED, strict=True)))
def test_the_pinned_answer(case: dict[str, Any], pinned: bytes) -> None:
    parameters = resolve(case["config"])
    matcher = RustMatcher()
    for observed, times, *rest in case["kb"]:
        emotives, metadata = [*rest, [], []][:2]
        for _ in range(times):
            found = learning_of(observed, emotives=emotives, metadata=metadata, parameters=parameters)
            if found is not None:
                matcher.apply(found)

    assert matcher.predict(events_of(case["stm"], parameters.sort_symbols), parameters) == pinned
