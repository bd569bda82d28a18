"""Every number of a prediction (engine.md, section 4).

Called by `oracle` for each recalled pattern. Each function's docstring gives the exact order of its float operations,
evaluated as Python reads them, from left to right and none fused, because the Rust twin has to reach the same last bit.
Counts are integers below 2**53 and are divided as such; "distinct" symbols come in the order of their first occurrence.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from kato_service.engine.blocks import Alignment
from kato_service.engine.counts import Statistics
from kato_service.engine.ensemble import Ensemble, canonical
from kato_service.engine.floats import left_sum, log2
from kato_service.engine.naming import flatten
from kato_service.engine.recall import Recalled, State


@dataclass(frozen=True, slots=True)
class Metrics:
    """The numeric fields of a prediction, in the order of the answer's JSON. None: no `affinity_emotive` is set."""

    frequency: int
    similarity: float
    evidence: float
    confidence: float
    snr: float
    fragmentation: int
    entropy: float
    normalized_entropy: float
    global_normalized_entropy: float
    itfdf_similarity: float
    confluence: float
    tfidf_score: float
    bayesian_prior: float
    bayesian_likelihood: float
    bayesian_posterior: float
    predictive_information: float
    potential: float
    weighted_similarity: float | None
    weighted_evidence: float | None
    weighted_confidence: float | None
    weighted_snr: float | None


@dataclass(frozen=True, slots=True)
class Ratios:
    """The four ratios that exist plain and weighted by affinity."""

    similarity: float
    evidence: float
    confidence: float
    snr: float


@dataclass(frozen=True, slots=True)
class Entropies:
    """The measures of the symbols of present, all over one walk through the distinct ones."""

    entropy: float
    normalized: float
    global_normalized: float
    tfidf: float


def measure(
    found: Recalled,
    alignment: Alignment,
    state: State,
    ensemble: Ensemble,
    statistics: Statistics,
    emotive: str | None,
) -> Metrics:
    """Return all metrics of one recalled pattern; `emotive` is the session's `affinity_emotive`.

    bayesian_prior = f / F; bayesian_posterior = f * similarity / weight, 0 when the ensemble's weight is 0;
    predictive_information = similarity * (f / F) / A, 0 when A is 0.
    """
    plain = plain_ratios(found, alignment, len(state.symbols))
    weighted = weighted_ratios(found, alignment, state, statistics, emotive) if emotive is not None else None
    entropies = entropies_of(alignment.present_symbols, statistics)
    frequency, similarity = found.record.frequency, found.similarity
    prior = frequency / ensemble.frequency
    itfdf = itfdf_similarity(cosine_distance(state, alignment, statistics), frequency, ensemble.frequency)
    share = ensemble.share(canonical(alignment.future))
    return Metrics(
        frequency=frequency,
        similarity=similarity,
        evidence=plain.evidence,
        confidence=plain.confidence,
        snr=plain.snr,
        fragmentation=alignment.blocks - 1,
        entropy=entropies.entropy,
        normalized_entropy=entropies.normalized,
        global_normalized_entropy=entropies.global_normalized,
        itfdf_similarity=itfdf,
        confluence=confluence(frequency, alignment.present_symbols, statistics),
        tfidf_score=entropies.tfidf,
        bayesian_prior=prior,
        bayesian_likelihood=similarity,
        bayesian_posterior=frequency * similarity / ensemble.weight if ensemble.weight else 0.0,
        predictive_information=similarity * prior / share if share else 0.0,
        potential=potential(weighted or plain, itfdf, alignment.blocks),
        weighted_similarity=weighted.similarity if weighted else None,
        weighted_evidence=weighted.evidence if weighted else None,
        weighted_confidence=weighted.confidence if weighted else None,
        weighted_snr=weighted.snr if weighted else None,
    )


def plain_ratios(found: Recalled, alignment: Alignment, observed: int) -> Ratios:
    """m / |P|, m / q and (2m - x) / (2m + x), each one division of integers; `observed` is |S|."""
    matched = len(alignment.matches)
    extra = observed - matched
    total = 2 * matched + extra
    return Ratios(
        similarity=found.similarity,
        evidence=matched / len(found.symbols),
        confidence=matched / len(alignment.present_symbols),
        snr=(2 * matched - extra) / total if total else 0.0,
    )


def weighted_ratios(
    found: Recalled, alignment: Alignment, state: State, statistics: Statistics, emotive: str
) -> Ratios:
    """The four ratios with each symbol weighing what its affinity for `emotive` makes it.

    W(list) = `left_sum` of the weights of its symbols, every occurrence, in ascending order of the weights, so that
    lists of the same symbols weigh the same. similarity = 2.0 * W(matches) / (W(S) + W(P));
    snr = W(matches) / (W(matches) + W(extras)), 0 when both are empty.
    """

    def weight(symbols: tuple[str, ...]) -> float:
        return left_sum(sorted(statistics.weight(symbol, emotive) for symbol in symbols))

    matched, extra = weight(alignment.matches), weight(flatten(alignment.extras))
    pattern = weight(found.symbols)
    return Ratios(
        similarity=2.0 * matched / (weight(state.symbols) + pattern),
        evidence=matched / pattern,
        confidence=matched / weight(alignment.present_symbols),
        snr=matched / (matched + extra) if matched + extra else 0.0,
    )


def potential(ratios: Ratios, itfdf: float, blocks: int) -> float:
    """((evidence + confidence) * snr + itfdf_similarity) + 1 / B, the last term 0.0 without a block."""
    return (ratios.evidence + ratios.confidence) * ratios.snr + itfdf + (1 / blocks if blocks else 0.0)


def entropies_of(present: tuple[str, ...], statistics: Statistics) -> Entropies:
    """Walk the distinct symbols of present, each with p = count / q and pr = patterns with it / U.

    entropy: from 0.0, subtract p * log2(p) for each. global: the same with pr. The two normalized ones are these sums
    divided once by log2(V), 0.0 when V < 2. tfidf: from 0.0, add p * (log2(U / patterns with it) + 1.0) for each; then
    divide by the number of distinct symbols.
    """
    counts = Counter(present)
    unique, size = statistics.patterns, len(present)
    entropy = global_entropy = tfidf = 0.0
    for symbol, count in counts.items():
        share, holders = count / size, statistics.patterns_with(symbol)
        spread = holders / unique
        entropy -= share * log2(share)
        global_entropy -= spread * log2(spread)
        tfidf += share * (log2(unique / holders) + 1.0)
    if statistics.vocabulary < 2:
        return Entropies(entropy, 0.0, 0.0, tfidf / len(counts))
    base = log2(statistics.vocabulary)
    return Entropies(entropy, entropy / base, global_entropy / base, tfidf / len(counts))


def confluence(frequency: int, present: tuple[str, ...], statistics: Statistics) -> float:
    """(f / T) * (1.0 - product): from 1.0, multiplied by pr of every symbol of present in order, repeated ones too.

    The symbols of present belong to a pattern of the KB, so the 1e-10 of an unseen symbol never comes up.
    """
    product = 1.0
    for symbol in present:
        product *= statistics.patterns_with(symbol) / statistics.patterns
    return frequency / statistics.frequencies * (1.0 - product)


def cosine_distance(state: State, alignment: Alignment, statistics: Statistics) -> float:
    """Return the cosine distance of S and present, each symbol's count weighted by pr(s); 1.0 if either is zero.

    pr(s) is weighted as patterns with s, since 1 / U cancels: so the dot product and both squared norms are exact
    integers, whatever the order. Distance = 1.0 - float(dot) / sqrt(float(norm_S) * float(norm_present)), which is
    exactly 0.0 for equal vectors.
    """
    observed = _weighted_counts(state.symbols, statistics)
    expected = _weighted_counts(alignment.present_symbols, statistics)
    norms = float(_squares(observed)) * float(_squares(expected))
    if not norms:
        return 1.0
    dot = sum(value * expected.get(symbol, 0) for symbol, value in observed.items())
    return 1.0 - float(dot) / math.sqrt(norms)


def itfdf_similarity(distance: float, frequency: int, ensemble_frequency: int) -> float:
    """1.0 - distance * f / F, multiplied before it is divided."""
    return 1.0 - distance * frequency / ensemble_frequency


def _weighted_counts(symbols: tuple[str, ...], statistics: Statistics) -> dict[str, int]:
    return {symbol: count * statistics.patterns_with(symbol) for symbol, count in Counter(symbols).items()}


def _squares(vector: dict[str, int]) -> int:
    return sum(value * value for value in vector.values())
