from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_operator.remote.names import label
from kato_spec.errors import Rejected
from kato_spec.keys import processor_id_problem

RAW = st.text(st.sampled_from("aZ09-_. /äß\n"), max_size=60) | st.text()


@given(RAW)
def test_a_label_is_always_valid_and_stays_itself(raw: str) -> None:
    try:
        found = label(raw)
    except Rejected:
        return
    assert processor_id_problem(found) is None
    assert label(found) == found


@given(RAW, RAW)
def test_two_inputs_never_share_a_label_unless_one_is_it(first: str, second: str) -> None:
    try:
        labels = {label(first): first, label(second): second}
    except Rejected:
        return
    assert len(labels) == len({first, second}) or first in labels or second in labels


@pytest.mark.parametrize(
    ("raw", "expected"), [("words", r"words"), ("My Memory!", r"my-memory-[0-9a-f]{8}"), ("!", r"[0-9a-f]{8}")]
)
def test_what_changes_gets_a_hash(raw: str, expected: str) -> None:
    assert re.fullmatch(expected, label(raw))


def test_a_reserved_name_is_refused() -> None:
    with pytest.raises(Rejected, match="reserved"):
        label("sessions")
