"""Vectors: names, sums and neighbours (engine.md, section 6)."""

from __future__ import annotations

import hashlib
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_service.engine import learning
from kato_service.engine.oracle import OracleMatcher
from kato_service.engine.vectors import LearnedVectors, Vector, combined, symbols_of, vector_symbol
from tests.unit.engine.strategies import vectors


def kept(**learned: Vector) -> LearnedVectors:
    found = LearnedVectors()
    found.learn(learned)
    return found


def test_a_vector_is_named_by_its_little_endian_doubles() -> None:
    packed = bytes.fromhex("000000000000f03f" + "00000000000000c0")

    assert vector_symbol((1.0, -2.0)) == "VCTR|" + hashlib.sha1(packed, usedforsecurity=False).hexdigest()
    assert vector_symbol((1.0, -2.0)) == "VCTR|71a4a6c8e2b26a168eda02a7513415557697935a"


def test_vectors_are_summed_in_any_order_and_without_a_negative_zero() -> None:
    rows = [(0.1, 1e15, -0.0), (0.2, 1.0, -0.0), (0.3, -1e15, -0.0)]

    sums = {combined(list(order)) for order in itertools.permutations(rows)}

    assert sums == {(math.fsum((0.1, 0.2, 0.3)), 1.0, 0.0)}
    assert {vector_symbol(found) for found in sums} == {vector_symbol((math.fsum((0.1, 0.2, 0.3)), 1.0, 0.0))}


@given(st.dictionaries(st.sampled_from("pqrst"), vectors, max_size=5), vectors, st.integers(0, 6))
def test_nearest_is_by_cosine(learned: dict[str, Vector], wanted: Vector, count: int) -> None:
    found = kept(**learned).nearest(wanted, count)

    distances = [cosine_distance(wanted, learned[symbol]) for symbol in found]
    others = [cosine_distance(wanted, vector) for symbol, vector in learned.items() if symbol not in found]
    assert len(found) == min(count, len(learned))
    assert len(set(found)) == len(found)
    assert all(near <= far + 1e-12 for near, far in itertools.pairwise(distances))
    assert all(max(distances, default=0.0) <= far + 1e-12 for far in others) or not distances


def cosine_distance(first: Vector, second: Vector) -> float:
    """Compute by exact sums; a zero vector has a cosine of 0 with everything."""
    scale = [max(map(abs, vector)) or 1.0 for vector in (first, second)]
    left, right = ([value / by for value in vector] for vector, by in zip((first, second), scale, strict=True))
    norms = math.hypot(*left) * math.hypot(*right)
    return 1 - math.fsum(a * b for a, b in zip(left, right, strict=True)) / norms if norms else 1.0


def test_ties_go_by_symbol() -> None:
    learned = kept(q=(2.0, 0.0), p=(1.0, 0.0), r=(0.0, 1.0), z=(0.0, 0.0))

    assert learned.nearest((3.0, 0.0), 3) == ("p", "q", "r")
    assert learned.nearest((0.0, 0.0), 2) == ("p", "q")


def test_tiny_and_huge_values_keep_their_direction() -> None:
    learned = kept(p=(5e-324, 0.0), q=(0.0, 1e15))

    assert learned.nearest((1e15, 1.0), 1) == ("p",)
    assert learned.nearest((0.0, 1e-300), 1) == ("q",)


def test_a_vector_of_another_dimension_is_no_neighbour() -> None:
    assert kept(p=(1.0, 0.0), q=(1.0,)).nearest((1.0, 0.0), 3) == ("p",)


def test_an_event_gets_the_vectors_name_and_its_nearest_once() -> None:
    vector = (1.0, 0.0)
    name = vector_symbol(vector)
    learned = LearnedVectors()
    learned.learn({"p": (1.0, 0.1), "q": (1.0, 0.2), "r": (1.0, 0.3), "s": (1.0, 0.4)})

    assert symbols_of(vector, learned.nearest) == (name, "p", "q", "r")
    learned.learn({name: vector})
    assert symbols_of(vector, learned.nearest) == (name, "p", "q")


def test_a_vector_is_learned_with_its_pattern_and_first_come_stays() -> None:
    matcher = OracleMatcher()
    for value in ((1.0, 2.0), (3.0, 4.0)):
        found = learning.build("op", (("VCTR|1", "a"),), vectors={"VCTR|1": value})
        assert found is not None
        matcher.apply(found)

    assert matcher.vectors() == {"VCTR|1": (1.0, 2.0)}
    assert matcher.nearest((1.0, 2.0), 3) == ("VCTR|1",)


def test_vectors_of_two_dimensions_cannot_be_summed() -> None:
    with pytest.raises(ValueError, match="zip"):
        combined([(1.0,), (1.0, 2.0)])
