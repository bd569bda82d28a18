"""What is wrong in what the user wrote, each thing with its place.

Raised by `wanted`, shown by the command line, which must not read YAML to know it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kato_spec.errors import KatoError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in what the user wrote.

    `line` and `column` count from 1; `column` is 0 where the line says enough, `field` empty where none is to blame.
    """

    file: str
    line: int
    field: str
    message: str
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" + (f":{self.column}" if self.column else "")
        return ": ".join(part for part in (place, self.field, self.message) if part)


class InvalidFiles(KatoError):
    """At least one document cannot be used; nothing was started or changed. `problems`: all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
