"""Invariants of the matcher as a whole, over every mode, metric and filter."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_service.engine.counts import Statistics
from kato_service.engine.model import Clearing, Deletion, Events, Learning, Operation, PatternRecord
from kato_service.engine.naming import flatten
from kato_service.engine.oracle import OracleMatcher
from kato_spec.parameters import Parameters, RankMetric
from tests.unit.engine.kb import learning_of, predictions
from tests.unit.engine.strategies import SYMBOLS, learnings, parameters, patterns, stms

EVERYTHING = Parameters(recall_threshold=0.0)


def matcher_of(operations: Iterable[Operation]) -> OracleMatcher:
    matcher = OracleMatcher()
    for operation in operations:
        matcher.apply(operation)
    return matcher


def records_of(matcher: OracleMatcher) -> list[PatternRecord]:
    return [record for name in matcher.names() if (record := matcher.record(name))]


def learned_of(*observed: list[list[str]]) -> OracleMatcher:
    return matcher_of(found for row in observed if (found := learning_of(row)))


@given(st.lists(learnings(), max_size=8), stms, parameters(), st.randoms())
def test_order_of_arrival_changes_no_byte(log: list[Learning], stm: Events, asked: Parameters, random: Random) -> None:
    # Emotive windows keep the order of learning by definition, so only learnings of different patterns change places.
    by_name = {found.name: [other for other in log if other.name == found.name] for found in log}
    shuffled = [found.name for found in log]
    random.shuffle(shuffled)
    other_order = [by_name[name].pop(0) for name in shuffled]

    assert matcher_of(other_order).predict(stm, asked) == matcher_of(log).predict(stm, asked)


@given(st.lists(learnings(), max_size=6), stms, parameters())
def test_prediction_is_deterministic_and_changes_nothing(log: list[Learning], stm: Events, asked: Parameters) -> None:
    matcher = matcher_of(log)
    before = records_of(matcher), matcher.totals()

    assert matcher.predict(stm, asked) == matcher.predict(stm, asked)
    assert (records_of(matcher), matcher.totals()) == before


@given(st.lists(learnings(), max_size=8), stms, parameters())
def test_loading_the_patterns_equals_learning_them(log: list[Learning], stm: Events, asked: Parameters) -> None:
    learned = matcher_of(log)
    loaded = OracleMatcher()

    loaded.load(records_of(learned), learned.vectors())

    assert loaded.predict(stm, asked) == learned.predict(stm, asked)
    assert loaded.totals() == learned.totals()
    assert loaded.vectors() == learned.vectors()
    assert loaded.statistics() == learned.statistics()


@given(st.lists(learnings(), min_size=1, max_size=6), stms, parameters())
def test_a_deleted_pattern_leaves_no_trace(log: list[Learning], stm: Events, asked: Parameters) -> None:
    gone = log[0].name
    others = [found for found in log if found.name != gone]

    matcher = matcher_of([*log, Deletion("op", gone), Deletion("op", gone)])

    assert matcher.record(gone) is None
    assert matcher.totals() == matcher_of(others).totals()
    assert matcher.predict(stm, asked) == matcher_of(others).predict(stm, asked)

    matcher.apply(log[0])
    assert matcher.predict(stm, asked) == matcher_of([*others, log[0]]).predict(stm, asked)


@given(st.lists(learnings(), max_size=6))
def test_clearing_forgets_everything(log: list[Learning]) -> None:
    matcher = matcher_of([*log, Clearing("op")])

    assert not list(matcher.names())
    assert (matcher.statistics(), matcher.affinities()) == (b"{}", b"{}")
    assert not matcher.vectors()
    assert matcher.totals() == OracleMatcher().totals()


@given(st.lists(learnings() | st.builds(Deletion, st.just("op"), st.just("")), max_size=10), st.data())
def test_statistics_equal_a_recount(log: list[Operation], data: st.DataObject) -> None:
    names = sorted({found.name for found in log if isinstance(found, Learning)})
    if names:
        log = [
            Deletion("op", data.draw(st.sampled_from(names))) if isinstance(found, Deletion) else found for found in log
        ]
    matcher = matcher_of(log)
    records = records_of(matcher)

    totals = matcher.totals()
    frequencies: Counter[str] = Counter()
    holders: Counter[str] = Counter()
    for record in records:
        for symbol in flatten(record.events):
            frequencies[symbol] += record.frequency
        holders.update(set(flatten(record.events)))
    assert totals.total_unique_patterns == len(records)
    assert totals.total_pattern_frequencies == sum(record.frequency for record in records)
    assert totals.total_symbol_frequencies == frequencies.total()
    assert totals.symbols == len(frequencies)
    told = json.loads(matcher.statistics())
    assert list(told) == sorted(frequencies)
    for symbol in frequencies:
        found = matcher.symbol(symbol)
        assert found is not None
        assert (found.frequency, found.pattern_member_frequency) == (frequencies[symbol], holders[symbol])
        assert found.affinity == affinity_of(symbol, records)
        assert told[symbol] == asdict(found)
    felt = {symbol: each["affinity"] for symbol, each in told.items() if each["affinity"]}
    assert json.loads(matcher.affinities()) == felt


def affinity_of(symbol: str, records: list[PatternRecord]) -> dict[str, float]:
    sums: dict[str, int] = {}
    for record in records:
        if symbol in flatten(record.events):
            for emotive, total in record.affinity.items():
                sums[emotive] = sums.get(emotive, 0) + total
    return {emotive: total / 2**32 for emotive, total in sums.items()}


@given(st.sampled_from(get_args(RankMetric)), st.lists(learnings(), max_size=8), stms, parameters())
def test_ranking_is_by_the_metric_then_by_name_and_the_cut_only_cuts(
    metric: RankMetric, log: list[Learning], stm: Events, asked: Parameters
) -> None:
    matcher = matcher_of(log)
    asked = asked.model_copy(update={"rank_sort_algo": metric, "max_predictions": 100})

    found = predictions(matcher, stm, asked)
    cut = predictions(matcher, stm, asked.model_copy(update={"max_predictions": 2}))

    assert found == sorted(found, key=lambda prediction: (-(prediction[metric] or 0), prediction["name"]))
    assert cut == found[:2]


@given(st.lists(learnings(), min_size=1, max_size=8), stms, parameters())
def test_shares_of_the_ensemble_add_up(log: list[Learning], stm: Events, asked: Parameters) -> None:
    matcher = matcher_of(log)
    answer = json.loads(matcher.predict(stm, asked.model_copy(update={"max_predictions": 100})))
    found, futures = answer["predictions"], answer["future_potentials"]

    if any(prediction["similarity"] for prediction in found):
        assert sum(prediction["bayesian_posterior"] for prediction in found) == pytest.approx(1)
        dead_ends = sum(prediction["bayesian_posterior"] for prediction in found if not prediction["future"])
        assert dead_ends + sum(entry["aggregate_potential"] for entry in futures) == pytest.approx(1)
    if found:
        assert sum(prediction["bayesian_prior"] for prediction in found) == pytest.approx(1)
    assert sum(entry["supporting_patterns"] for entry in futures) == sum(bool(item["future"]) for item in found)


@given(st.lists(patterns, min_size=1, max_size=6), stms.filter(lambda stm: sum(map(len, stm)) != 1))
def test_a_threshold_of_zero_recalls_every_pattern(kb: list[Events], stm: Events) -> None:
    matcher = matcher_of(found for observed in kb if (found := learning_of(observed)))

    assert sorted(prediction["name"] for prediction in predictions(matcher, stm, EVERYTHING)) == list(matcher.names())


@given(st.lists(learnings(), min_size=1, max_size=8), stms.filter(lambda stm: sum(map(len, stm)) > 1), st.booleans())
def test_the_threshold_is_inclusive_at_the_float_itself(log: list[Learning], stm: Events, token: bool) -> None:
    matcher = matcher_of(log)
    everything = predictions(matcher, stm, EVERYTHING.model_copy(update={"use_token_matching": token}))

    for threshold in {prediction["similarity"] for prediction in everything if prediction["similarity"]}:
        asked = Parameters(recall_threshold=threshold, use_token_matching=token)
        names = {prediction["name"] for prediction in predictions(matcher, stm, asked)}
        assert names == {
            prediction["name"]
            for prediction in everything
            if prediction["similarity"] >= threshold and shares(prediction["sequence"], stm)
        }


def shares(sequence: list[list[str]], stm: Events) -> bool:
    return not set(flatten(stm)).isdisjoint(symbol for event in sequence for symbol in event)


@given(st.lists(learnings(), min_size=1, max_size=8), st.sampled_from(SYMBOLS), parameters())
def test_one_symbol_recalls_what_it_begins(log: list[Learning], symbol: str, asked: Parameters) -> None:
    matcher = matcher_of(log)
    asked = asked.model_copy(update={"filter_pipeline": None, "max_predictions": 100})

    found = predictions(matcher, ((symbol,),), asked)

    assert {prediction["name"] for prediction in found} == {
        record.name for record in records_of(matcher) if flatten(record.events)[0] == symbol
    }


def test_an_unknown_symbol_has_no_statistics() -> None:
    matcher = learned_of([["a"], ["b"]])

    assert matcher.symbol("z") is None
    assert Statistics().patterns_with("z") == 0


def test_a_prefilter_in_the_pipeline_changes_nothing() -> None:
    matcher = learned_of([["a"], ["b"]], [["a"], ["c"]])
    stm = (("a",), ("b",))
    prefilters = Parameters(filter_pipeline=["minhash", "bloom", "rapidfuzz"], jaccard_threshold=1.0, minhash_bands=1)

    assert matcher.predict(stm, prefilters) == matcher.predict(stm, Parameters())
