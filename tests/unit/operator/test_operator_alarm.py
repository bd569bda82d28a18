"""A process whose time is over takes no further step, however it was kept from looking at the clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from kato_operator.alarm import EXIT_CODE
from kato_operator.reconcile.fence import Fence
from tests.support.operator.clock import HeldClock

BEGIN = """
import os, signal, threading, time
from kato_operator.alarm import Alarm
alarm = Alarm()
def end_in(seconds): alarm.end_at(time.monotonic() + seconds)
"""
BUSY = "pow(7, 10**10, 10**(10**6))"  # minutes inside one call, in which no Python is run
ASLEEP = "time.sleep(60)"
STOPPED = """
for _ in range(12): threading.Thread(target=threading.Event().wait, daemon=True).start()
os.write(1, b'before')
end_in(2)
os.kill(os.getpid(), signal.SIGSTOP)
os.write(1, b' and after')
"""


def program(text: str) -> list[str]:
    """Return a Python program with an alarm."""
    return [sys.executable, "-c", BEGIN + text]


@pytest.mark.parametrize("then", [BUSY, ASLEEP])
@pytest.mark.parametrize("seconds", [(0.2,), (0,), (-1,), (60, 0.2), (0.2, 60, 0.2)])
def test_a_process_ends_at_its_time_whatever_it_does(seconds: tuple[float, ...], then: str) -> None:
    calls = "\n".join(f"end_in({number})" for number in seconds)
    assert subprocess.run(program(f"{calls}\n{then}"), timeout=60, check=False).returncode == EXIT_CODE


@pytest.mark.parametrize("put_off", ["end_in(600)", "alarm.call_off()"])
def test_an_end_that_was_put_off_does_not_come(put_off: str) -> None:
    assert subprocess.run(program(f"end_in(1); {put_off}; time.sleep(1.5)"), timeout=60, check=False).returncode == 0


def test_a_process_that_was_stopped_beyond_its_time_takes_no_step_when_it_goes_on() -> None:
    process = subprocess.Popen(program(STOPPED), stdout=subprocess.PIPE)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    time.sleep(2.5)
    assert process.poll() is None
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=60) == (b"before", None)
    assert process.returncode == EXIT_CODE


def test_the_fence_has_the_process_end_when_the_lease_does() -> None:
    clock, ends = HeldClock(), list[float]()
    fence = Fence(clock.monotonic, end_at=ends.append)
    fence.extend(clock.monotonic() + 10)
    fence.extend(clock.monotonic() + 12)
    fence.close()
    fence.extend(float("inf"))
    assert ends == [clock.monotonic() + 10, clock.monotonic() + 12]
