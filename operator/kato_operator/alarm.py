"""The end of this process at a time set beforehand, by the kernel: what none of our code can sleep through.

Set by the fence to when the lease runs out. A process that was stopped (SIGSTOP, a frozen container) and goes on meets
the signal before its next instruction, so that what it was about to send is not sent; a deadline that the process looks
at by itself lies some instructions before that (spec: operator.md, "One writer").
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import threading
import time

# What a process that ends this way leaves as its exit code.
EXIT_CODE = int(signal.SIGALRM)
# <signal.h> and <time.h> of Linux.
SIGEV_THREAD_ID = 4
TIMER_ABSTIME = 1


class Event(ctypes.Structure):
    """`struct sigevent`: which signal goes to which thread."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_char * 44),
    )


class Times(ctypes.Structure):
    """`struct itimerspec`: never again after the first time; all zero is never."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("again_s", "again_ns", "first_s", "first_ns"))


class Alarm:
    """Ends the process, exit code `EXIT_CODE`. To be made by the thread that is to take no further step (Linux).

    A signal to the process as a whole would not do: while another thread takes it, this one may go on.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        self._libc.signal.argtypes, self._libc.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
        # A handler in Python waits for the interpreter, and the first process of a container ignores the default one.
        self._libc.signal(signal.SIGALRM, ctypes.cast(self._libc._exit, ctypes.c_void_p))
        event = Event(signal=signal.SIGALRM, notify=SIGEV_THREAD_ID, thread=threading.get_native_id())
        self._checked(self._libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)))

    def end_at(self, deadline: float) -> None:
        """End the process at `deadline`, in seconds of the monotonic clock, or at once; a later call moves it."""
        fraction, seconds = math.modf(deadline)
        self._set(Times(first_s=int(seconds), first_ns=int(fraction * 1e9)))

    def call_off(self) -> None:
        """Let the process end by itself after all."""
        self._set(Times())

    def _set(self, times: Times) -> None:
        self._checked(self._libc.timer_settime(self._timer, TIMER_ABSTIME, ctypes.byref(times), None))

    @staticmethod
    def _checked(result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
