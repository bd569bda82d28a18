"""Hypothesis without its deadline: a busy machine fails no property (house.md, no timed assertions)."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
