"""YAML as the API server reads it: what is printed comes back as the value that it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from kato_operator.local.api_yaml import Loader, dumped
from tests.support.risky_texts import RISKY_TEXTS

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
DIGITS = st.text("0123456789eE+-._xob:", max_size=8)
VALUES = st.recursive(
    SCALARS | DIGITS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | DIGITS, inner, max_size=4),
    max_leaves=12,
)


def read(text: str) -> Any:  # noqa: ANN401 - any YAML value
    return yaml.load(text, Loader=Loader)  # noqa: S506 - a SafeLoader


@given(VALUES)
@example({"870737e6": "1e5"})
def test_a_value_is_read_as_it_was_by_either_kind_of_yaml(value: object) -> None:
    assert read(dumped(value)) == yaml.safe_load(dumped(value)) == value


@pytest.mark.parametrize("text", RISKY_TEXTS)
def test_a_text_that_looks_like_something_else_is_in_quotes(text: str) -> None:
    assert dumped({"name": text}) == f"name: '{text}'"


@pytest.mark.parametrize("text", ["a", "true story", "1.2.3", "10m", "e6"])
def test_any_other_text_is_not(text: str) -> None:
    assert dumped({"name": text}) == f"name: {text}"
