"""What may enter the engine, checked in one place.

Called by the service before anything of an observation takes effect; everything behind it relies on these limits. Each
function returns the value in the engine's own types or raises `Rejected` naming the field, the value and what is
allowed; `field` is what the client calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kato_service.engine.vectors import Vector
from kato_spec.errors import Rejected

MAX_SYMBOL_BYTES = 64 * 1024
MAX_STM_SYMBOLS = 100_000
MAX_MAGNITUDE = 1e15

_TEXT = f"Unicode text of at most {MAX_SYMBOL_BYTES} bytes in UTF-8"
_NUMBER = f"a finite number from {-MAX_MAGNITUDE:.0e} to {MAX_MAGNITUDE:.0e}"


class VectorDimension(Rejected):
    """A vector of `actual` dimensions where `expected` are needed: the KB's, or those of its neighbours."""

    def __init__(self, field: str, expected: int, actual: int) -> None:
        super().__init__(field, f"a vector of {actual} dimensions", f"vectors of {expected} dimensions")
        self.expected = expected
        self.actual = actual


def text(field: str, value: object) -> str:
    """Check one symbol or name: a string, the empty one too, that UTF-8 can write in `MAX_SYMBOL_BYTES`."""
    if not isinstance(value, str):
        raise Rejected(field, value, _TEXT)
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise Rejected(field, value, f"{_TEXT}; it holds a lone surrogate") from error
    if size > MAX_SYMBOL_BYTES:
        raise Rejected(field, value, f"{_TEXT}; it has {size}")
    return value


def number(field: str, value: object) -> float:
    """Check one emotive or vector component: an int or a float, finite and at most 1e15 in magnitude; no bool."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_MAGNITUDE:
        raise Rejected(field, value, _NUMBER)
    return float(value)


def strings(field: str, values: object) -> tuple[str, ...]:
    """Check a list of symbols."""
    return tuple(text(f"{field}[{index}]", value) for index, value in enumerate(_list(field, values)))


def events(field: str, values: object) -> tuple[tuple[str, ...], ...]:
    """Check an STM given by a client: a list of lists of symbols. Empty lists are no events and are left out."""
    observed = (strings(f"{field}[{index}]", value) for index, value in enumerate(_list(field, values)))
    kept = tuple(event for event in observed if event)
    stm_size(field, sum(map(len, kept)))
    return kept


def stm_size(field: str, symbols: int) -> None:
    """Check the number of symbols in an STM."""
    if symbols > MAX_STM_SYMBOLS:
        allowed = f"at most {MAX_STM_SYMBOLS} symbols in a short-term memory; learn it, clear it or let it auto-learn"
        raise Rejected(field, f"{symbols} symbols", allowed)


def emotives(field: str, values: object) -> dict[str, float]:
    """Check the emotives of one observation: name -> number."""
    return {text(field, name): number(f"{field}.{name}", value) for name, value in _mapping(field, values).items()}


def metadata(field: str, values: object) -> dict[str, tuple[str, ...]]:
    """Check the metadata of one observation: name -> a string or a list of strings."""
    checked: dict[str, tuple[str, ...]] = {}
    for name, value in _mapping(field, values).items():
        inner = f"{field}.{name}"
        checked[text(field, name)] = strings(inner, value) if isinstance(value, list | tuple) else (text(inner, value),)
    return checked


def vectors(field: str, values: object, expected: int | None) -> tuple[Vector, ...]:
    """Check the vectors of one observation: at least one component each, one dimension for all.

    `expected` is the dimension of the KB, None while it has none; the first vector fixes it then.

    Raises:
        VectorDimension: with the dimension expected and the one found.
    """
    checked: list[Vector] = []
    for index, value in enumerate(_list(field, values)):
        inner = f"{field}[{index}]"
        vector = tuple(number(f"{inner}[{place}]", item) for place, item in enumerate(_list(inner, value)))
        if not vector:
            raise Rejected(inner, value, "a list of at least one number")
        expected = expected or len(vector)
        if len(vector) != expected:
            raise VectorDimension(inner, expected, len(vector))
        checked.append(vector)
    return tuple(checked)


def _list(field: str, values: object) -> Sequence[object]:
    if not isinstance(values, list | tuple):
        raise Rejected(field, values, "a list")
    return values


def _mapping(field: str, values: object) -> Mapping[object, object]:
    if not isinstance(values, Mapping):
        raise Rejected(field, values, "an object of names and values")
    return values
