"""Which patterns a state recalls, and how similar each is: the ensemble.

Called by `oracle`; its result goes to `ensemble` for the sums and to `metrics` for the values (engine.md, sections 3
and 5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

from kato_service.engine.equality import Equality, similarity_of
from kato_service.engine.model import Events, PatternRecord
from kato_service.engine.naming import flatten
from kato_spec.parameters import Parameters


@dataclass(frozen=True, slots=True)
class State:
    """An STM made ready for one prediction. `symbols` is S of engine.md, `text` what character mode compares."""

    events: Events
    symbols: tuple[str, ...]
    text: str
    equality: Equality

    @classmethod
    def of(cls, stm: Events, parameters: Parameters) -> State:
        """Prepare `stm` under the session's `parameters`."""
        symbols = flatten(stm)
        return cls(stm, symbols, " ".join(symbols), Equality(symbols, parameters.fuzzy_token_threshold))


@dataclass(frozen=True, slots=True)
class Recalled:
    """A recalled pattern. `symbols` is P, flat.

    (`size`, `common`) is its class: |P| and the LCS in symbols, or in character mode the length of its text and the LCS
    in characters. All patterns of one class have one `similarity`.
    """

    record: PatternRecord
    symbols: tuple[str, ...]
    size: int
    common: int
    similarity: float


def recall(records: Iterable[PatternRecord], state: State, parameters: Parameters) -> list[Recalled]:
    """Return the ensemble of `state`, in the order of `records`."""
    compared = (_compared(record, state, parameters) for record in records)
    return [found for found in compared if _is_recalled(found, state, parameters) and _passes(found, state, parameters)]


def _compared(record: PatternRecord, state: State, parameters: Parameters) -> Recalled:
    symbols = flatten(record.events)
    if parameters.use_token_matching:
        size, common, state_size = len(symbols), state.equality.common(symbols), len(state.symbols)
    else:
        text = " ".join(symbols)
        size, common, state_size = len(text), LCSseq.similarity(text, state.text), len(state.text)
    return Recalled(record, symbols, size, common, similarity_of(common, size + state_size))


def _is_recalled(found: Recalled, state: State, parameters: Parameters) -> bool:
    """A state of one symbol goes by the pattern's first symbol; any other by the threshold, inclusive."""
    if len(state.symbols) == 1:
        return found.symbols[:1] == state.symbols
    if parameters.recall_threshold == 0:
        return True
    return found.similarity >= parameters.recall_threshold and state.equality.shares(found.symbols)


def _passes(found: Recalled, state: State, parameters: Parameters) -> bool:
    """Apply the two filters that have bounds of their own; the others of a pipeline change nothing."""
    pipeline = parameters.filter_pipeline or []
    if "length" in pipeline and not _length_fits(found, state, parameters):
        return False
    return "jaccard" not in pipeline or _overlap_suffices(found, state, parameters)


def _length_fits(found: Recalled, state: State, parameters: Parameters) -> bool:
    """Bounds on |P| / |S|, one float division, both inclusive; the ratio to an empty state is infinite."""
    ratio = len(found.symbols) / len(state.symbols) if state.symbols else float("inf")
    least, most = parameters.length_min_ratio, parameters.length_max_ratio
    return (least is None or ratio >= least) and (most is None or ratio <= most)


def _overlap_suffices(found: Recalled, state: State, parameters: Parameters) -> bool:
    """Bounds on the distinct identical symbols: their number, and their share of all distinct ones, inclusive."""
    pattern, observed = set(found.symbols), set(state.symbols)
    common = len(pattern & observed)
    share, count = parameters.jaccard_threshold, parameters.jaccard_min_overlap
    return (share is None or common / len(pattern | observed) >= share) and (count is None or common >= count)
