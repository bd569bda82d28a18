"""Kubernetes quantities (`1Gi`, `500m`, `2e3`): their grammar and their exact values.

Used by the manifest models, for bounds between quantities, and by the operator, to compare what is with what is wanted.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from kato_spec.errors import Rejected
from kato_spec.rules import ALLOWED

PATTERN = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]{1,2})?$"
LENGTH_MAX = 32
IN_WORDS = "a quantity such as 500m, 2, 1Gi or 2e3, not negative"

_PARTS = re.compile(r"^\+?([0-9.]+)(.*)$")
_SUFFIXES = {
    "": Fraction(1),
    **{name: Fraction(1000) ** power for power, name in enumerate(("n", "u", "m"), start=-3)},
    **{name: Fraction(1000) ** power for power, name in enumerate("kMGTPE", start=1)},
    **{f"{name}i": Fraction(1024) ** power for power, name in enumerate("KMGTPE", start=1)},
}


def _number_as_text(value: object) -> object:
    """Let a whole number of 64 bits stand for the quantity that it spells, as the API server does."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    return value


Quantity = Annotated[
    str,
    Field(pattern=PATTERN, max_length=LENGTH_MAX),
    BeforeValidator(_number_as_text),
    WithJsonSchema(
        {"x-kubernetes-int-or-string": True, "pattern": PATTERN, "maxLength": LENGTH_MAX, ALLOWED: IN_WORDS}
    ),
]


def amount(quantity: object) -> Fraction:
    """Return the exact value of `quantity`, a string of the Kubernetes grammar or a whole number.

    Raises:
        Rejected: it is not a quantity, or is negative.
    """
    text = _number_as_text(quantity)
    if not isinstance(text, str) or not re.fullmatch(PATTERN, text):
        raise Rejected("quantity", quantity, IN_WORDS)
    parts = _PARTS.match(text)
    if parts is None:
        raise Rejected("quantity", quantity, IN_WORDS)
    number, suffix = parts.groups()
    if suffix in _SUFFIXES:
        return Fraction(number) * _SUFFIXES[suffix]
    return Fraction(number + suffix)


def exceeds(one: object, other: object) -> bool:
    """Say whether `one` is a greater quantity than `other`; False where either is none, which its own field tells."""
    try:
        return amount(one) > amount(other)
    except Rejected:
        return False
