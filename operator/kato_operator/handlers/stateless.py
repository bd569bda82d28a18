"""What Kopf remembers of objects between events: nothing.

Used by `watching`. Kopf compares every object with what its change handlers saw last, and there are none here: copying
whole objects for that comparison is most of what an event costs.
"""

from __future__ import annotations

from typing import Any

import kopf

ESSENCE: Any = {}


class NoDiffBase(kopf.DiffBaseStorage):
    """The essence of every object is the same, so that there is nothing to copy and nothing to compare."""

    def build(self, **_: object) -> Any:  # noqa: ANN401 - Kopf's types are not public
        """Return what stands for any object."""
        return ESSENCE

    def fetch(self, **_: object) -> Any:  # noqa: ANN401 - as above
        """Return that nothing was stored."""
        return None

    def store(self, **_: object) -> None:
        """Store nothing."""


class NoProgress(kopf.ProgressStorage):
    """No handler is ever retried, so no object carries how far it got."""

    def fetch(self, **_: object) -> Any:  # noqa: ANN401 - as above
        """Return that nothing was stored."""
        return None

    def store(self, **_: object) -> None:
        """Store nothing."""

    def purge(self, **_: object) -> None:
        """Take away nothing."""

    def touch(self, **_: object) -> None:
        """Write nothing."""

    def clear(self, *, essence: Any) -> Any:  # noqa: ANN401 - as above
        """Return an essence in which nothing is Kopf's."""
        return essence
