"""The data directory of one processor: made private, and locked while a process serves it.

Called by the composition root before any database is opened (service.md: "one file per processor, locked").
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from kato_service.processor.errors import DataDirectoryInUse

MEMORY_FILE = "memory.db"
SESSIONS_FILE = "sessions.db"
COPIES = "index"
LOCK_FILE = "lock"


class DataDirectory:
    """A locked data directory; the kernel lets the lock go when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Make the directory (mode 0700) where it is missing, and lock it.

        Raises:
            DataDirectoryInUse: another process holds the lock.
        """
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            os.close(self._lock)
            raise DataDirectoryInUse(
                f"data_dir {path}", f"served by process {holder}", "a directory that no other process serves"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    @property
    def memory(self) -> Path:
        """The file of the long-term memory."""
        return self.path / MEMORY_FILE

    @property
    def sessions(self) -> Path:
        """The file of the sessions."""
        return self.path / SESSIONS_FILE

    @property
    def copies(self) -> Path:
        """The directory of what a start reads in the place of the long-term memory, where it is there."""
        return self.path / COPIES

    def release(self) -> None:
        """Let the directory go."""
        os.close(self._lock)
