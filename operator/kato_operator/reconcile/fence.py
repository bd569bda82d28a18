"""May this process write? Asked before every write, answered by the lease's monotonic deadline.

Opened by `cluster.lease` for as long as the lease surely holds; asked by `cluster` and `sessions` (spec: operator.md,
"One writer"). Without an election it stands open.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from kato_spec.errors import Transient


class NotLeader(Transient):
    """The lease is not held, or may run out before a write would end."""


class Fence:
    """A deadline on the monotonic clock, in seconds; writes must end before it.

    `end_at` is told the deadline each time, to end the process then, whatever it is in the midst of.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        margin: float = 1.0,
        end_at: Callable[[float], None] = lambda deadline: None,
    ) -> None:
        self._monotonic = monotonic
        self._margin = margin
        self._end_at = end_at
        self._deadline = -math.inf

    def extend(self, deadline: float) -> None:
        """Allow writes until `deadline`."""
        self._deadline = deadline
        if math.isfinite(deadline):
            self._end_at(deadline)

    def close(self) -> None:
        """Allow no more writes."""
        self._deadline = -math.inf

    def time_left(self) -> float:
        """Return for how long a write may last, in seconds.

        Raises:
            NotLeader: when no write may begin.
        """
        left = self._deadline - self._monotonic() - self._margin
        if left <= 0:
            raise NotLeader("this process does not hold the lease: it writes nothing")
        return left
