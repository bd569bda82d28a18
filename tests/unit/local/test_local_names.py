from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_operator.local.names import default_id, sanitise
from kato_spec.errors import Rejected
from kato_spec.keys import RESERVED_IDS

VALID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
LIKELY = st.text(st.sampled_from("aZ09-_. /äß\n")) | st.text()


@given(LIKELY)
def test_an_id_is_always_valid_and_stays_itself(raw: str) -> None:
    try:
        found = sanitise(raw)
    except Rejected:
        return
    assert VALID.fullmatch(found)
    assert found not in RESERVED_IDS
    assert sanitise(found) == found


@given(st.from_regex(VALID, fullmatch=True).filter(lambda text: text not in RESERVED_IDS))
def test_what_is_an_id_already_is_left_as_it_is(raw: str) -> None:
    assert sanitise(raw) == raw


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("processor-1", "processor-1"),
        ("My_Proc", "My_Proc"),
        ("My Proc!!", "my-proc"),
        ("a//b..c", "a-b-c"),
        ("--lead", "lead"),
        ("Trail_", "trail"),
        ("Größe", "gr-e"),
        ("x" * 80, "x" * 63),
    ],
)
def test_other_characters_become_one_hyphen(raw: str, expected: str) -> None:
    assert sanitise(raw) == expected


@pytest.mark.parametrize("raw", ["", "!!!", "---", "sessions", "Ping!", "ws"])
def test_no_id_and_reserved_ids_are_refused(raw: str) -> None:
    with pytest.raises(Rejected) as caught:
        sanitise(raw)
    assert caught.value.value == raw


def test_the_default_id_names_time_and_starter() -> None:
    assert default_id(1_700_000_000.9, 4711) == "kato-1700000000-4711"
    assert sanitise(default_id(1.0, 2)) == "kato-1-2"
