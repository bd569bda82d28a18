from __future__ import annotations

import signal
import threading

import pytest

from kato_operator.local.interrupts import CtrlC, deferred


def test_ctrl_c_interrupts_where_it_is_checked_and_nowhere_else() -> None:
    before = signal.getsignal(signal.SIGINT)
    with deferred() as ctrl_c:
        ctrl_c.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            ctrl_c.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_works_again_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(OSError, match="no such program"), deferred():
        raise OSError("no such program")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_that_is_not_the_main_one_has_no_handler_to_change() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def work() -> None:
        with deferred() as ctrl_c:
            seen.append(signal.getsignal(signal.SIGINT))
            ctrl_c.check()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_what_was_never_deferred_was_never_pressed() -> None:
    CtrlC().check()
