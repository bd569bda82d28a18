"""A process whose time is over takes no further step, however it was kept from looking at the clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from kato_operator.alarm import EXIT_CODE
from kato_operator.reconcile.fence import Fence
from tests.support.operator.clock import HeldClock

BUSY = "pow(7, 10**10, 10**(10**6))"  # minutes inside one call, in which no Python is run
ASLEEP = "import time; time.sleep(60)"


def program(*seconds: float, then: str) -> list[str]:
    """Return a program that sets its end to each of `seconds` in turn, then does something else."""
    calls = "; ".join(f"end_in({number})" for number in seconds)
    return [sys.executable, "-c", f"from kato_operator.alarm import end_in; {calls}; {then}"]


@pytest.mark.parametrize("then", [BUSY, ASLEEP])
@pytest.mark.parametrize("seconds", [(0.2,), (0,), (-1,), (60, 0.2), (0.2, 60, 0.2)])
def test_a_process_ends_at_its_time_whatever_it_does(seconds: tuple[float, ...], then: str) -> None:
    assert subprocess.run(program(*seconds, then=then), timeout=60, check=False).returncode == EXIT_CODE


def test_an_end_that_was_put_off_does_not_come() -> None:
    done = subprocess.run(program(0.2, 60, then="import time; time.sleep(1)"), timeout=60, check=False)
    assert done.returncode == 0


def test_a_process_that_was_stopped_beyond_its_time_takes_no_step_when_it_goes_on() -> None:
    then = "import os, signal; os.write(1, b'before'); os.kill(os.getpid(), signal.SIGSTOP); os.write(1, b' and after')"
    process = subprocess.Popen(program(0.5, then=then), stdout=subprocess.PIPE)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=60) == (b"before", None)
    assert process.returncode == EXIT_CODE


def test_the_fence_has_the_process_end_when_the_lease_does() -> None:
    clock, ends = HeldClock(), list[float]()
    fence = Fence(clock.monotonic, end_in=ends.append)
    fence.extend(clock.monotonic() + 10)
    clock.forward(4)
    fence.extend(clock.monotonic() + 8)
    fence.close()
    fence.extend(float("inf"))
    assert ends == [10, 8]
