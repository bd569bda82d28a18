"""Hypothesis strategies for small KBs that collide often: few symbols, duplicates, near words, the empty string."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st

from kato_service.engine import learning
from kato_service.engine.model import Events, Learning
from kato_spec.parameters import Parameters, RankMetric

SYMBOLS = ("", "a", "b", "c", "ab", "abc", "abd", "a b")
MAGNITUDE = 1e15

symbols = st.sampled_from(SYMBOLS)
events = st.lists(symbols, min_size=1, max_size=3).map(tuple)
stms: st.SearchStrategy[Events] = st.lists(events, max_size=5).map(tuple)
patterns: st.SearchStrategy[Events] = (
    st.lists(events, min_size=1, max_size=5)
    .map(tuple)
    .filter(lambda found: sum(map(len, found)) >= learning.LEAST_SYMBOLS)
)
emotives = st.dictionaries(
    st.sampled_from(("joy", "fear")), st.floats(-MAGNITUDE, MAGNITUDE) | st.sampled_from((0.1, 1 / 3, -0.0)), max_size=2
)
metadata = st.dictionaries(st.sampled_from(("src", "by")), st.lists(st.sampled_from("xyz"), max_size=2), max_size=2)
vectors = st.lists(st.floats(-MAGNITUDE, MAGNITUDE), min_size=3, max_size=3).map(tuple)


@st.composite
def learnings(draw: st.DrawFn) -> Learning:
    found = learning.build(
        "op",
        draw(patterns),
        emotives=draw(st.lists(emotives, max_size=3)),
        metadata=draw(st.lists(metadata, max_size=2)),
        vectors=draw(st.dictionaries(st.sampled_from(("VCTR|1", "VCTR|2")), vectors, max_size=1)),
        persistence=draw(st.integers(1, 3)),
    )
    assert found is not None
    return found


@st.composite
def parameters(draw: st.DrawFn) -> Parameters:
    return Parameters(
        recall_threshold=draw(st.sampled_from((0.0, 0.1, 1 / 3, 0.5, 2 / 3, 1.0))),
        max_predictions=draw(st.sampled_from((1, 3, 100))),
        use_token_matching=draw(st.booleans()),
        fuzzy_token_threshold=draw(st.sampled_from((0.0, 0.5, 2 / 3, 0.8))),
        rank_sort_algo=draw(st.sampled_from(get_args(RankMetric))),
        affinity_emotive=draw(st.sampled_from((None, "joy", "calm"))),
        filter_pipeline=draw(st.sampled_from((None, ["length"], ["jaccard", "bloom"]))),
        length_min_ratio=draw(st.sampled_from((None, 0.5, 1.0))),
        length_max_ratio=draw(st.sampled_from((None, 1.5, 3.0))),
        jaccard_threshold=draw(st.sampled_from((None, 0.25, 0.5))),
        jaccard_min_overlap=draw(st.sampled_from((None, 0, 2))),
    )


# Whatever a caller may hand in by mistake: numbers that are none, lone surrogates, nested lists and objects.
anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=("Cs",)), min_size=1, max_size=2)
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
