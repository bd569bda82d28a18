"""Image stores that outlive a cluster: containerd's root directories, one for each local cluster that runs at a time.

Two containerds cannot share a root, so a cluster takes the first free one. The lock on it is inherited by the
containerd process and is thus held exactly as long as that runs, whatever becomes of the harness.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.cluster.cache import CACHE

SLOTS = CACHE / "containerd"


@dataclass(frozen=True)
class Slot:
    """An image store and the open file that locks it."""

    root: Path
    lock: int


@contextmanager
def take_slot(slots: Path = SLOTS) -> Iterator[Slot]:
    """Lock the first image store that no containerd uses; after the block the lock is containerd's alone."""
    slots.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        lock = os.open(slots / f"{number}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        root = slots / str(number)
        root.mkdir(exist_ok=True)
        try:
            yield Slot(root, lock)
        finally:
            os.close(lock)
        return
