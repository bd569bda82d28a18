"""What a process has written, synced and acknowledged, in the order in which the kernel saw it, by strace.

Called by the tests of durability: SIGKILL does not show a missing sync, the system calls do.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from tests.support.cluster.machine import install

CALLS = "pwrite64,write,writev,sendto,sendmsg,fsync,fdatasync,ftruncate"
STARTED = re.compile(r"^(\d+) +(\w+)\((\d+)<([^>]*)>(.*)$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
PLACED = re.compile(r", (\d+), (\d+)(?:\)| <unfinished)")  # a pwrite64's length and offset


@dataclass(frozen=True)
class Event:
    """One thing that happened to `file`; `end` is the byte behind what was written."""

    kind: Literal["write", "sync", "acknowledge"]
    file: str = ""
    end: int = 0


@cache
def strace() -> str:
    """Return the program, installed when it is missing; ClusterError says in one line where it cannot be had."""
    if shutil.which("strace") is None:
        install(["strace"])
    return shutil.which("strace") or "strace"


def traced(trace: Path) -> list[str]:
    """Return the words before a command that have its system calls written to `trace`."""
    return [strace(), "-f", "-y", "-s", "2048", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(trace)]


def events(trace: Path, *acknowledgements: str) -> Iterator[Event]:
    """Yield what happened. A call is a write when it begins and a sync when it has ended, whichever is the later proof.

    `acknowledgements`: the text of an acknowledging write holds one of them.
    """
    begun: dict[str, tuple[str, str]] = {}
    for line in trace.read_text(errors="replace").splitlines():
        if found := STARTED.match(line):
            process, call, _, file, rest = found.groups()
            begun[process] = (call, file)
            if call == "pwrite64":
                yield _write(file, rest)
            elif call not in {"fsync", "fdatasync"} and any(words in rest for words in acknowledgements):
                yield Event("acknowledge")
            if "<unfinished" not in rest:
                yield from _ended(call, file, rest)
        elif found := RESUMED.match(line):
            process, _, rest = found.groups()
            if process in begun:
                yield from _ended(*begun[process], rest)


def _write(file: str, rest: str) -> Event:
    placed = PLACED.findall(rest)
    assert placed, f"a write without its place: {rest}"
    length, offset = map(int, placed[-1])
    return Event("write", Path(file).name, offset + length)


def _ended(call: str, file: str, rest: str) -> Iterator[Event]:
    if call in {"fsync", "fdatasync"}:
        assert rest.endswith("= 0"), f"a sync that failed: {rest}"
        yield Event("sync", Path(file).name)


def synced_when_acknowledged(happened: list[Event], file: str) -> list[int]:
    """Return, for each acknowledgement, the bytes of `file` that a loss of power at that moment would have left."""
    written = synced = 0
    found = []
    for event in happened:
        if event.kind == "acknowledge":
            found.append(synced)
        elif event.file == file and event.kind == "write":
            written = max(written, event.end)
        elif event.file == file:
            synced = written
    return found


def end_traced(process: int) -> None:
    """Kill the only child of a strace, which then ends by itself."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), 9)
