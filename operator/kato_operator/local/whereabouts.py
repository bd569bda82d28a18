"""Which instance listens where, as the registry's file says at this moment. Called by `gateway`, at every request.

The file is read anew only when it was replaced, and without its lock: a request waits for no other command.
"""

from __future__ import annotations

import asyncio

from kato_operator.local.home import Home
from kato_operator.local.registry import Instances, Notice, Registry

_Version = tuple[int, int, int] | None


class Whereabouts:
    """The instances of one home. `notice` is told what the registry finds damaged or gone."""

    def __init__(self, home: Home, notice: Notice) -> None:
        self._path = home.registry
        self._registry = Registry(home, notice)
        self._seen: _Version = None
        self._instances: Instances | None = None

    async def now(self) -> Instances:
        """Return the instances as they stand on file; a missing or damaged file is rebuilt.

        Raises:
            Rejected: the file was written by a newer kato.
            Transient: another command held the lock for too long.
        """
        version = self._version()
        if version is None or version != self._seen:
            self._seen, self._instances = version, self._registry.glance()
        return await self.checked() if self._instances is None else self._instances

    async def checked(self) -> Instances:
        """Return the instances whose processes run; entries of those that are gone are dropped from the file."""
        return await asyncio.to_thread(self._registry.read)

    def _version(self) -> _Version:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
