"""Ctrl-C at a time of our choosing: what must not be cut in two is finished first.

Called by `machine` while it starts processes (spec: cli.md, "Habits": Ctrl-C leaves nothing half done).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class CtrlC:
    """Whether Ctrl-C was pressed since it is deferred."""

    def __init__(self) -> None:
        self._pressed = False

    def check(self) -> None:
        """Go on, or be interrupted here.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        if self._pressed:
            raise KeyboardInterrupt

    def press(self, _number: int, _frame: FrameType | None) -> None:
        """Remember a SIGINT."""
        self._pressed = True


@contextmanager
def deferred() -> Iterator[CtrlC]:
    """Have Ctrl-C interrupt the block where it checks, and nowhere else; only the main thread ever sees one.

    An exception at just any instruction can fall between a process's start and the line that remembers it, or into a
    finalizer, where Python drops it.
    """
    ctrl_c = CtrlC()
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as in a script's background job
    if ignored or threading.current_thread() is not threading.main_thread():
        yield ctrl_c
        return
    before = signal.signal(signal.SIGINT, ctrl_c.press)
    try:
        yield ctrl_c
    finally:
        signal.signal(signal.SIGINT, before)
