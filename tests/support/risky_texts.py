"""Texts that one or the other reader of YAML takes for a number, a boolean, a date or nothing when they stand bare."""

from __future__ import annotations

from typing import Final

RISKY_TEXTS: Final = (
    "870737e6", "1e5", "1E-3", "+1", ".5", "1.", "007", "0o17", "0b11", "0x1f", "1_000", "12:30:45", "2024-01-02",
    ".inf", ".nan", "yes", "off", "true", "null", "~", "=",
)  # fmt: skip
