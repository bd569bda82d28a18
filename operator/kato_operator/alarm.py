"""The end of this process at a time set beforehand, by the kernel: what none of our code can sleep through.

Set by the fence, for as long as the lease holds. A process that was stopped (SIGSTOP, a frozen container) and goes on
meets the signal before its next instruction, so that what it was about to send is not sent; a deadline that the process
looks at by itself lies some instructions before that (spec: operator.md, "One writer").
"""

from __future__ import annotations

import ctypes
import signal

# What a process that ends this way leaves as its exit code.
EXIT_CODE = int(signal.SIGALRM)
AT_ONCE = 1e-6


def end_in(seconds: float) -> None:
    """End this process in `seconds` from now, or at once if they are over; a later call moves the time."""
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    # A handler in Python waits for the interpreter's turn, and the first process of a container ignores the default.
    libc.signal(signal.SIGALRM, ctypes.cast(libc._exit, ctypes.c_void_p))
    signal.setitimer(signal.ITIMER_REAL, max(seconds, AT_ONCE))
