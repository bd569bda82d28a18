"""Suite `engine`: the fast matcher goal by goal (matcher.md, "Goals"), beside its peers in the same run.

Methods take turns on each state, so that all see the same load and the same caches.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from time import perf_counter

from kato_service.engine import learning
from kato_service.engine.model import Events, PatternRecord
from kato_service.engine.rust import RustMatcher
from kato_spec.parameters import Parameters
from tests.bench.engine_data import knowledge, states
from tests.bench.engine_load import load_rows, wheel_bytes
from tests.bench.engine_peers import Floor, Peers
from tests.bench.rows import Place, Row

SUITE = "engine"
SIZES = tuple(int(size) for size in os.environ.get("BENCH_PATTERNS", "1000 10000 100000 1000000").split())
THRESHOLDS = (0.1, 0.3, 0.6)
STATES = 200
# How many states a peer is asked at each size; none where one answer takes minutes.
EXTRACT = {1_000: 40, 10_000: 10, 100_000: 5, 1_000_000: 3}
CDIST = {1_000: 200, 10_000: 60, 100_000: 20, 1_000_000: 5}
DIFFLIB = {1_000: 5, 10_000: 2}
BRUTE = {1_000: 10, 10_000: 5, 100_000: 3}
# matcher.md: how many times faster than its peer, as the greatest share of the peer's time.
RECALL_GOALS = {100_000: (1 / 400, 1 / 25), 1_000_000: (1 / 400, 1 / 25)}
ANSWER_GOALS = {
    (1_000, 0.1): 1 / 30,
    (10_000, 0.1): 1 / 150,
    (100_000, 0.1): 1 / 300,
    (100_000, 0.3): 1 / 200,
    (100_000, 0.6): 1 / 150,
}
Method = Callable[[Events], int]


def rows() -> Iterator[Row]:
    """Measure at every size, then what does not depend on it."""
    for size in SIZES:
        records = list(knowledge(size))
        matcher = RustMatcher()
        matcher.load(records, {})
        gc.collect()
        gc.freeze()
        yield from latency_rows(matcher, records)
        goal = 250 if size >= 100_000 else None  # of a few patterns the symbols are the greater part
        yield Row(SUITE, f"index, {size:,}", sum(matcher.memory().values()) / size, "bytes/pattern", goal=goal)
        yield learn_row(matcher, size)
        if size == SIZES[-1]:
            yield from load_rows(records)
        gc.unfreeze()
    yield Row(SUITE, "import of the extension", import_ms(), "ms", goal=10)
    yield Row(SUITE, "wheel", wheel_bytes() / 2**20, "MiB", goal=1)


def latency_rows(matcher: RustMatcher, records: Sequence[PatternRecord]) -> Iterator[Row]:
    """Recall and whole answers at each threshold."""
    size = len(records)
    peers, floor = Peers(records), Floor(records)
    asked = states(records, STATES)
    for threshold in THRESHOLDS:
        parameters = Parameters(recall_threshold=threshold)

        def recall(stm: Events, session: Parameters = parameters) -> int:
            return len(matcher._index.recall(stm, session)[0]) // 4

        def answer(stm: Events, session: Parameters = parameters) -> int:
            return len(matcher.predict(stm, session))

        methods: dict[str, tuple[Method, int]] = {
            "recall": (recall, STATES),
            "answer": (answer, STATES),
            "floor": (floor.touch, STATES),
        }
        others = {"extract": EXTRACT, "cdist": CDIST, "difflib": DIFFLIB, "brute": BRUTE}
        for name, counts in others.items():
            if count := counts.get(size, 0):
                methods[name] = (at(getattr(peers, name), threshold), count)
        yield from shown(measured(methods, asked), size, threshold)


def at(method: Callable[[Events, float], int], threshold: float) -> Method:
    """Bind a peer to a threshold."""
    return lambda stm: method(stm, threshold)


def measured(methods: Mapping[str, tuple[Method, int]], asked: Sequence[Events]) -> dict[str, list[float]]:
    """Return the durations of each method in ms, a method after the other on each state.

    Raises:
        AssertionError: two methods do not recall the same number of patterns.
    """
    for method, _ in methods.values():
        method(asked[0])
    durations: dict[str, list[float]] = {name: [] for name in methods}
    for number, stm in enumerate(asked):
        answers = {}
        for name, (method, count) in methods.items():
            if number < count:
                start = perf_counter()
                answers[name] = method(stm)
                durations[name].append((perf_counter() - start) * 1000)
        recalled = {answers[name] for name in ("recall", "extract", "cdist", "brute") if name in answers}
        assert len(recalled) == 1, f"the methods do not agree: {answers}"
    return durations


def shown(durations: Mapping[str, list[float]], size: int, threshold: float) -> Iterator[Row]:
    """Make rows of durations: ours beside each peer over the states that both were asked."""
    label = f"{size:,}, t = {threshold}"
    place = Place(patterns=size, threshold=threshold)

    def beside(row: str, ours: str, peer: str, goal: float | None = None) -> Iterator[Row]:
        if peer in durations:
            count = len(durations[peer])
            mine, its = statistics.median(durations[ours][:count]), statistics.median(durations[peer])
            yield Row(SUITE, f"{row}, {label}, p50", mine, "ms", peer, its, goal, **place)

    extract_goal, cdist_goal = RECALL_GOALS.get(size, (None, None)) if threshold == THRESHOLDS[0] else (None, None)
    yield from beside("recall", "recall", "extract", extract_goal)
    yield from beside("recall", "recall", "cdist", cdist_goal)
    yield from beside("recall", "recall", "difflib")
    yield from beside("recall", "recall", "floor")
    yield from beside("answer", "answer", "brute", ANSWER_GOALS.get((size, threshold)))
    million = size == 1_000_000 and threshold == THRESHOLDS[0]
    ours = sorted(durations["answer"])
    yield Row(SUITE, f"answer, {label}, p50", statistics.median(ours), "ms", goal=50 if million else None, **place)
    yield Row(SUITE, f"answer, {label}, p99", ours[int(len(ours) * 0.99)], "ms", goal=150 if million else None)


def learn_row(matcher: RustMatcher, size: int) -> Row:
    """Learn fresh patterns into the index."""
    durations = []
    for record in islice(knowledge(2_000, seed=99), 2_000):
        fresh = learning.build("op", record.events)
        assert fresh is not None
        start = perf_counter()
        matcher.apply(fresh)
        durations.append((perf_counter() - start) * 1e6)
    return Row(SUITE, f"learn into {size:,}, p50", statistics.median(durations), "us", goal=20)


def import_ms() -> float:
    """Return the median of importing the extension into a fresh interpreter that has the engine's package."""
    script = (
        "import kato_service.engine, time; start = time.perf_counter(); import kato_service.engine._matcher; "
        "print((time.perf_counter() - start) * 1000)"
    )
    runs = (subprocess.run([sys.executable, "-c", script], capture_output=True, check=True) for _ in range(5))
    return statistics.median(float(run.stdout) for run in runs)
