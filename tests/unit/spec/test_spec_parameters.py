"""Session parameters: ranges, older spellings, resets, and updates that apply as a whole or not at all."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_spec.parameters import (
    OLDER_NAMES,
    InvalidParameters,
    Parameters,
    allowed,
    default_of,
    parse_overrides,
    resolve,
)

# engine.md, section 5: name -> default, good values, bad values.
TABLE: dict[str, tuple[object, list[object], list[object]]] = {
    "recall_threshold": (0.1, [0, 0.0, 0.5, 1, 1.0], [-0.01, 1.01, "0.5", True, math.nan, math.inf]),
    "max_predictions": (100, [1, 10000], [0, 10001, 1.5, "5", True]),
    "max_pattern_length": (0, [0, 7, 2**31 - 1], [-1, 2**31, 0.5]),
    "persistence": (5, [1, 100], [0, 101]),
    "quiescence": (3, [0, 1000], [-1, "3"]),
    "stm_mode": ("CLEAR", ["CLEAR", "ROLLING"], ["clear", "", 1]),
    "indexer_type": ("VI", ["VI"], ["FAISS", 0]),
    "sort_symbols": (True, [True, False], [1, "true"]),
    "process_predictions": (True, [True, False], [0, "no"]),
    "use_token_matching": (True, [True, False], [1, "false"]),
    "fuzzy_token_threshold": (0.0, [0, 0.8, 1], [-0.1, 1.1]),
    "rank_sort_algo": ("potential", ["potential", "weighted_snr", "tfidf_score"], ["Potential", "name", 1]),
    "affinity_emotive": (None, ["joy", "x" * 256], ["", "x" * 257, 3]),
    "filter_pipeline": (None, [[], ["length", "jaccard", "minhash", "bloom", "rapidfuzz"]], ["length", ["sieve"]]),
    "length_min_ratio": (None, [0, 0.5, 3], [-1, "1", math.inf]),
    "length_max_ratio": (None, [0, 2.5], [-0.5]),
    "jaccard_threshold": (None, [0, 1], [1.5]),
    "jaccard_min_overlap": (None, [0, 3], [-1]),
    "minhash_threshold": (None, [0.7], [7]),
    "minhash_bands": (None, [1, 20], [0]),
    "minhash_rows": (None, [1, 5], [0]),
    "minhash_num_hashes": (None, [1, 100], [0]),
    "bloom_false_positive_rate": (None, [0.01], [2]),
    "max_candidates_per_stage": (None, [1, 1000], [0]),
    "enable_filter_metrics": (None, [True, False], ["yes"]),
}
CASES = [(name, value) for name, (_, good, _) in TABLE.items() for value in good]
BAD_CASES = [(name, value) for name, (_, _, bad) in TABLE.items() for value in bad]


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(Parameters.model_fields)


@pytest.mark.parametrize("name", TABLE)
def test_a_parameter_has_its_default(name: str) -> None:
    assert default_of(name) == TABLE[name][0]
    assert getattr(resolve(), name) == TABLE[name][0]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_value_in_range_is_taken(name: str, value: object) -> None:
    assert getattr(resolve(parse_overrides({name: value}).values), name) == value


@pytest.mark.parametrize(("name", "value"), BAD_CASES)
def test_a_value_out_of_range_is_refused_with_its_range(name: str, value: object) -> None:
    with pytest.raises(InvalidParameters) as caught:
        parse_overrides({name: value})
    (problem,) = caught.value.problems.items()
    assert problem[0] == name
    assert allowed(name) in problem[1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("recall_threshold", "number 0..1"),
        ("max_predictions", "integer 1..10000"),
        ("length_min_ratio", "number >= 0 or null"),
        ("stm_mode", "one of CLEAR, ROLLING"),
        ("indexer_type", "VI"),
        ("sort_symbols", "boolean"),
        ("affinity_emotive", "string of 1 to 256 characters or null"),
        ("filter_pipeline", "a list of one of length, jaccard, minhash, bloom, rapidfuzz, at most 16 or null"),
    ],
)
def test_a_range_is_told_in_words(name: str, words: str) -> None:
    assert allowed(name) == words


@pytest.mark.parametrize("older", OLDER_NAMES)
def test_an_older_spelling_means_the_current_one(older: str) -> None:
    assert parse_overrides({older: 4}).values == {"max_pattern_length": 4}


def test_a_problem_is_told_in_the_spelling_that_was_sent() -> None:
    with pytest.raises(InvalidParameters, match="max_seq_length: -1 is not allowed"):
        parse_overrides({"max_seq_length": -1})


def test_two_spellings_of_one_parameter_are_refused() -> None:
    with pytest.raises(InvalidParameters) as caught:
        parse_overrides({"max_pattern_length": 4, "max_seq_length": 5})
    assert set(caught.value.problems) == {"max_seq_length"}


def test_null_resets_and_unknown_keys_are_ignored_by_name() -> None:
    update = parse_overrides(
        {"persistence": None, "max_sequence_length": None, "zeal": 1, "auto": None, "quiescence": 1}
    )
    assert update.values == {"quiescence": 1}
    assert update.resets == {"persistence", "max_pattern_length"}
    assert update.ignored == ("auto", "zeal")


def test_one_bad_value_refuses_the_whole_update_and_every_bad_one_is_named() -> None:
    with pytest.raises(InvalidParameters) as caught:
        parse_overrides({"persistence": 3, "quiescence": -1, "stm_mode": "KEEP", "unknown": 1})
    assert set(caught.value.problems) == {"quiescence", "stm_mode"}


@pytest.mark.parametrize(
    ("layers", "sorts"),
    [
        ([], True),
        ([{"use_token_matching": False}], False),
        ([{"use_token_matching": False, "sort_symbols": True}], True),
        ([{"sort_symbols": True}, {"use_token_matching": False}], True),
        ([{"use_token_matching": False}, {"use_token_matching": True}], True),
        ([{"sort_symbols": False}], False),
        ([{"use_token_matching": True, "sort_symbols": False}], False),
    ],
)
def test_symbols_are_sorted_with_token_matching_unless_it_is_said(layers: list[dict[str, Any]], sorts: bool) -> None:
    assert resolve(*layers).sort_symbols is sorts


def test_a_later_layer_wins_key_by_key() -> None:
    resolved = resolve({"persistence": 7, "quiescence": 9}, {"quiescence": 1})
    assert (resolved.persistence, resolved.quiescence, resolved.max_predictions) == (7, 1, 100)


@given(st.dictionaries(st.sampled_from(sorted(TABLE)) | st.text(max_size=5), st.integers() | st.text() | st.booleans()))
def test_what_an_update_is_refused_for_is_all_that_is_wrong_with_it(raw: dict[str, object]) -> None:
    update = parse_overrides({name: value for name, value in raw.items() if name not in refused(raw)})
    assert len(update.values) + len(update.resets) + len(update.ignored) + len(refused(raw)) == len(raw)
    resolve(update.values)


def refused(raw: dict[str, object]) -> dict[str, str]:
    try:
        parse_overrides(raw)
    except InvalidParameters as error:
        return error.problems
    return {}
