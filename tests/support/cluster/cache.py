"""Slow things are made once: a part lies in the cache under its name and version, whole or not at all.

A build happens in a directory beside the final one and is renamed when it is whole, so a build that was cut off
leaves nothing that looks finished; a file lock lets the second of two racing builds wait for the first.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from tests.support.cluster.progress import say

CACHE = (Path.home() / ".cache" / "kato-operator").resolve()


@dataclass(frozen=True)
class Part:
    """One thing that is built or fetched once.

    `key` names everything the result depends on (version, architecture, a hash of its inputs). `build` fills an empty
    directory. `estimate` is its usual time in seconds on two idle cores, 0 for what takes no time worth a line.
    """

    name: str
    key: str
    build: Callable[[Path], None]
    estimate: int = 0


@dataclass(frozen=True)
class Image:
    """An image in a file. `name` has its tag; `key` names everything that went into it."""

    name: str
    path: Path
    key: str


def ensure(part: Part, cache: Path = CACHE) -> Path:
    """Return the directory that holds a part, after building it when it is not there."""
    shelf = cache / part.name
    final = shelf / part.key
    if final.is_dir():
        return final
    shelf.mkdir(parents=True, exist_ok=True)
    lock = FileLock(shelf / f"{part.key}.lock")
    try:
        lock.acquire(timeout=0.2)
    except Timeout:
        say(f"{part.name} {part.key}: waiting for another build of it")
        lock.acquire()
    try:
        if not final.is_dir():
            build(part, shelf, final)
    finally:
        lock.release()
    return final


def build(part: Part, shelf: Path, final: Path) -> None:
    """Build a part beside its place and move it there; what an earlier build left half done goes first."""
    for rest in shelf.glob(f".{part.key}.*"):
        shutil.rmtree(rest)
    if part.estimate:
        say(f"{part.name} {part.key}: building, about {part.estimate} s on two idle cores, once")
    started = time.monotonic()
    half = Path(tempfile.mkdtemp(prefix=f".{part.key}.", dir=shelf))
    try:
        part.build(half)
        half.rename(final)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    if part.estimate:
        say(f"{part.name} {part.key}: built in {time.monotonic() - started:.1f} s")


def keep_latest(used: Path, count: int) -> None:
    """Remove all but the last used results of a part whose key changes with every edit; `used` is one in use now."""
    used.touch()
    results = [path for path in used.parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for old in sorted(results, key=lambda path: path.stat().st_mtime, reverse=True)[count:]:
        shutil.rmtree(old, ignore_errors=True)
