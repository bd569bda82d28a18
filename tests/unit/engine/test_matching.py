"""Longest common subsequence and matching blocks against the definitions, identical and fuzzy symbols alike."""

from __future__ import annotations

from collections.abc import Callable
from difflib import SequenceMatcher
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Indel, LCSseq

from kato_service.engine.blocks import Aligner, Alignment
from kato_service.engine.equality import Equality, text_similarity
from kato_service.engine.model import Events, PatternRecord
from kato_service.engine.naming import flatten
from kato_service.engine.recall import Recalled, State
from kato_spec.parameters import Parameters
from tests.unit.engine.strategies import patterns, stms, symbols

thresholds = st.sampled_from((0.0, 0.5, 2 / 3, 0.8))
Equal = Callable[[str, str], bool]
Pair = tuple[int, int]


def equal_at(threshold: float) -> Equal:
    return lambda first, second: first == second or 0 < threshold <= text_similarity(first, second)


def table_lcs(first: tuple[str, ...], second: tuple[str, ...], equal: Equal) -> int:
    """Fill the textbook table."""
    row = [0] * (len(second) + 1)
    for left in first:
        above = row
        row = [0]
        for j, right in enumerate(second):
            row.append(above[j] + 1 if equal(left, right) else max(above[j + 1], row[j]))
    return row[-1]


def definition_pairs(first: tuple[str, ...], second: tuple[str, ...], equal: Equal) -> list[Pair]:
    """Take the longest run of pairs, the earliest in `first`, then in `second`; the same on both of its sides."""
    runs = [(-run_length(first[i:], second[j:], equal), i, j) for i in range(len(first)) for j in range(len(second))]
    size, i, j = min(runs, default=(0, 0, 0))
    if not size:
        return []
    after_i, after_j = i - size, j - size
    right = definition_pairs(first[after_i:], second[after_j:], equal)
    return [
        *definition_pairs(first[:i], second[:j], equal),
        *((i + k, j + k) for k in range(-size)),
        *((after_i + k, after_j + n) for k, n in right),
    ]


def run_length(first: tuple[str, ...], second: tuple[str, ...], equal: Equal) -> int:
    length = 0
    for left, right in zip(first, second, strict=False):
        if not equal(left, right):
            break
        length += 1
    return length


def aligned(pattern: Events, stm: Events, threshold: float) -> Alignment:
    state = State.of(stm, Parameters(fuzzy_token_threshold=threshold))
    return Aligner(state).align(Recalled(PatternRecord("name", pattern, 1), flatten(pattern), 0, 0, 0.0))


@given(st.lists(symbols), st.lists(symbols), thresholds)
def test_lcs_is_the_tables(first: list[str], second: list[str], threshold: float) -> None:
    pattern, state = tuple(first), tuple(second)

    common = Equality(state, threshold).common(pattern)

    assert common == table_lcs(pattern, state, equal_at(threshold))


@given(st.lists(st.sampled_from("ab"), min_size=60, max_size=140), st.lists(st.sampled_from("abc"), min_size=60))
def test_lcs_of_long_states(first: list[str], second: list[str]) -> None:
    assert Equality(tuple(second), 0.0).common(tuple(first)) == LCSseq.similarity(first, second)


@given(patterns, stms, thresholds)
def test_blocks_are_those_of_the_definition(pattern: Events, stm: Events, threshold: float) -> None:
    flat, state, equal = flatten(pattern), flatten(stm), equal_at(threshold)
    pairs = definition_pairs(flat, state, equal)

    found = aligned(pattern, stm, threshold)

    apart = sum(second != (first[0] + 1, first[1] + 1) for first, second in pairwise(pairs))
    assert found.matches == tuple(state[j] for _, j in pairs)
    assert found.blocks == (apart + 1 if pairs else 0)
    assert [(anomaly.observed, anomaly.expected) for anomaly in found.anomalies] == [
        (state[j], flat[i]) for i, j in pairs if state[j] != flat[i]
    ]
    assert all(anomaly.similarity >= threshold for anomaly in found.anomalies)


@given(patterns, stms)
def test_blocks_of_identical_symbols_are_difflibs(pattern: Events, stm: Events) -> None:
    blocks = SequenceMatcher(None, flatten(pattern), flatten(stm), autojunk=False).get_matching_blocks()[:-1]

    found = aligned(pattern, stm, 0.0)

    assert found.blocks == len(blocks)
    assert found.matches == tuple(flatten(stm)[block.b + k] for block in blocks for k in range(block.size))


@given(patterns, stms, thresholds)
def test_past_present_and_future_are_the_pattern(pattern: Events, stm: Events, threshold: float) -> None:
    found = aligned(pattern, stm, threshold)

    assert found.past + found.present + found.future == pattern
    assert found.present
    assert [len(event) for event in found.missing] == [
        len(event) - sum(symbol in gone(found) for symbol in event) for event in found.present
    ]
    assert len(found.extras) == len(stm)
    if not found.matches:
        assert (found.past, found.missing, found.extras) == ((), pattern, removed(stm, set(flatten(pattern))))


def gone(found: Alignment) -> set[str]:
    return {*found.matches, *(anomaly.expected for anomaly in found.anomalies)}


def removed(stm: Events, known: set[str]) -> Events:
    return tuple(tuple(symbol for symbol in event if symbol not in known) for event in stm)


@given(st.text(), st.text())
def test_text_similarity_is_rapidfuzzs_up_to_the_last_bits(first: str, second: str) -> None:
    assert abs(text_similarity(first, second) - Indel.normalized_similarity(first, second)) < 1e-15
