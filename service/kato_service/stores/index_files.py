"""Copies of the indexes as files beside the SQLite memory. Made by the composition root for embedded storage.

A file holds the id of the fold whose patterns it is, and the matcher's dump, which has a checksum of its own: one that
is torn, damaged or of another fold is passed over, and the memory is read instead (matcher.md, "What makes it fast").
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import structlog

log = structlog.get_logger()


class IndexFiles:
    """`IndexCopies` in `directory`, which is made with the first copy."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self, node: str, fold_id: str) -> bytes | None:
        """See `IndexCopies.find`."""
        try:
            with self._path(node).open("rb") as file:
                return file.read() if file.readline() == _head(fold_id) else None
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("index_copy_unreadable", node=node, error=str(error))
            return None

    def keep(self, node: str, fold_id: str, dump: bytes) -> None:
        """See `IndexCopies.keep`."""
        path = self._path(node)
        unfinished = path.with_suffix(".unfinished")
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            self.drop(node)  # the old one would take the room of the new one
            unfinished.touch(mode=0o600)
            with unfinished.open("wb") as file:
                file.write(_head(fold_id))
                file.write(dump)
            unfinished.replace(path)
        except OSError as error:
            log.warning("index_copy_failed", node=node, error=str(error))
            _remove(unfinished)

    def drop(self, node: str) -> None:
        """See `IndexCopies.drop`."""
        _remove(self._path(node))

    def _path(self, node: str) -> Path:
        return self._directory / f"{hashlib.sha256(node.encode()).hexdigest()[:32]}.copy"


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("index_copy_not_removed", path=str(path), error=str(error))


def _head(fold_id: str) -> bytes:
    return f"{fold_id}\n".encode()
