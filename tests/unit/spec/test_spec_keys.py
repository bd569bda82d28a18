"""Names that rooms must agree on: what can be an ID, one slot per processor, no two processors in one place."""

from __future__ import annotations

import re
from binascii import crc_hqx

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kato_spec.keys import (
    PROCESSOR_NAME_MAX,
    RESERVED_IDS,
    child_name,
    database_name,
    declaration_key,
    declarations_key,
    hash_tag,
    key_prefix,
    parameters_key,
    processor_id_problem,
    state_key,
    wakeup_channel,
)

LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
PAIRS = st.tuples(LABELS, LABELS)


def slot(key: str) -> int:
    """Return the Redis Cluster slot of a key: CRC-16 (XMODEM) of its hash tag."""
    tag = key[key.index("{") + 1 : key.index("}")]
    return crc_hqx(tag.encode(), 0) % 16384


@pytest.mark.parametrize("name", sorted(RESERVED_IDS))
def test_a_path_of_the_service_is_no_id(name: str) -> None:
    assert processor_id_problem(name) is not None


@pytest.mark.parametrize("name", ["a", "0", "processor-1", "a" * PROCESSOR_NAME_MAX, "session"])
def test_a_dns_label_is_an_id(name: str) -> None:
    assert processor_id_problem(name) is None


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a.b", "a" * 48, "a\n", "é"])
def test_what_is_no_dns_label_is_no_id(name: str) -> None:
    assert processor_id_problem(name) is not None


def test_the_names_of_children_are_dns_labels_with_the_longest_id() -> None:
    longest = child_name("a" * PROCESSOR_NAME_MAX)
    assert all(len(f"{longest}{suffix}") <= 63 for suffix in ("", "-memory", "-stores", "-internal"))


@given(LABELS, LABELS, st.uuids())
def test_all_keys_of_a_processor_lie_in_one_slot(namespace: str, processor: str, uid: object) -> None:
    pair = (namespace, processor)
    keys = {parameters_key(*pair), declarations_key(*pair), declaration_key(*pair, str(uid)), state_key(*pair, "pod")}
    assert len(keys) == 4
    assert all(key.startswith(key_prefix(*pair)) for key in {*keys, wakeup_channel(*pair)})
    assert {slot(key) for key in keys} == {slot(hash_tag(namespace, processor))}


@given(PAIRS, PAIRS)
def test_two_processors_share_nothing(one: tuple[str, str], other: tuple[str, str]) -> None:
    assume(one != other)
    assert hash_tag(*one) != hash_tag(*other)
    assert parameters_key(*one) != parameters_key(*other)
    assert declaration_key(*one, "u") != declaration_key(*other, "u")
    assert database_name(*one) != database_name(*other)


@given(LABELS, LABELS)
def test_a_database_name_is_one_that_mongodb_takes(namespace: str, processor: str) -> None:
    assert re.fullmatch(r"kato_[0-9a-f]{24}", database_name(namespace, processor))


def test_names_stay_what_they_are() -> None:
    # Memory that exists is found again by these: a change of one is a loss.
    assert hash_tag("default", "broad") == "{default/broad}"
    assert parameters_key("default", "broad") == "kato:{default/broad}:parameters"
    assert declaration_key("default", "broad", "u1") == "kato:{default/broad}:declaration:u1"
    assert declarations_key("default", "broad") == "kato:{default/broad}:declarations"
    assert state_key("default", "broad", "pod-1") == "kato:{default/broad}:state:pod-1"
    assert wakeup_channel("default", "broad") == "kato:{default/broad}:wakeup"
    assert child_name("broad") == "kato-broad"
