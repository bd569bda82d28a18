"""Processes of this machine: started detached, recognised by PID and start time, stopped without losing their data.

Called by `registry` (who is alive, who runs at all) and `machine` (spec: cli.md, "Registry").
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from kato_operator.local.home import Home
from kato_spec.errors import Rejected, Transient
from kato_spec.keys import child_name

STOP_WITHIN = 5.0
_KILLED_BEFORE = 1.0
_GONE_WITHIN = 30.0  # a killed process ends at once, but for one that waits for a disk
_POLL_SECONDS = 0.02
# Start times come from ticks since boot and the wall clock, and are read a little differently each time; after a step
# of the clock `found_at` tells.
_SAME_START = 1.0
MARK = "KATO_INSTANCE"
HOME_MARK = "KATO_INSTANCE_HOME"


class NotPermitted(Rejected):
    """The process belongs to a user whom this one may not signal; the message says whose it is."""

    def __init__(self, pid: int, owner: str) -> None:
        super().__init__("pid", pid, "a process that this user may end")
        self.args = (f"PID {pid} belongs to {owner}, and you may not end it: run this as {owner}",)


@dataclass(frozen=True, slots=True)
class Identity:
    """One process and no other: a PID together with when it started (seconds since 1970)."""

    pid: int
    started: float


@dataclass(frozen=True, slots=True)
class Found:
    """An instance that runs, as its process's own environment describes it."""

    id: str
    name: str
    api_port: int
    internal_port: int
    identity: Identity


def spawn(
    environment: Mapping[str, str], directory: Path, log: Path, descriptors: Collection[int]
) -> subprocess.Popen[bytes]:
    """Start the service in a session of its own, so that it outlives this program and its terminal.

    It inherits the file `descriptors`, under the same numbers.
    """
    # Appended to: what the last run said is what one wants to read after a crash.
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "kato_service"],
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=descriptors,
        )


def started(pid: int) -> float:
    """Return when the process with `pid`, a child of this one, started (seconds since 1970)."""
    return psutil.Process(pid).create_time()


def alive(identity: Identity) -> bool:
    """Say whether that very process still runs; another program with its PID is not it."""
    return _same(identity) is not None


def require_permission(identities: Iterable[Identity]) -> None:
    """See that this user may end these processes, before anything is done.

    Raises:
        NotPermitted: one of them belongs to somebody else.
    """
    for process in filter(None, map(_same, identities)):
        try:
            process.send_signal(0)
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied as error:
            raise NotPermitted(process.pid, process.username()) from error


def stop(identities: Iterable[Identity], *, within: float = STOP_WITHIN) -> None:
    """End these processes: asked first, killed a second before `within` ends; then all are gone.

    One that is gone already, or whose PID another program has, is left alone.

    Raises:
        Transient: one does not end though it was killed: it waits for a disk.
    """
    running = [process for identity in identities if (process := _same(identity))]
    _each(running, "terminate")
    stubborn = _left(running, within - _KILLED_BEFORE)
    _each(stubborn, "kill")
    if undead := _left(stubborn, _GONE_WITHIN):
        raise Transient(f"process {undead[0].pid} was killed and has not ended in {_GONE_WITHIN:g} s: try again")


def discover(home: Home) -> Iterator[Found]:
    """Yield the instances of this home that run now, whatever the registry says."""
    for process in psutil.process_iter():
        if found := _found(home, process):
            yield found


def found_at(home: Home, pid: int) -> Found | None:
    """Return the instance of this home that the process with this PID is, None when it is none."""
    process = _running(pid)
    return _found(home, process) if process else None


def _found(home: Home, process: psutil.Process) -> Found | None:
    try:
        environment = process.environ()
        instance_id = environment.get(MARK, "")
        if environment.get(HOME_MARK) != str(home.root) or not _serves(process, instance_id):
            return None
        return Found(
            id=instance_id,
            name=environment["KATO_PROCESSOR_NAME"],
            api_port=int(environment["KATO_PORT"]),
            internal_port=int(environment["KATO_INTERNAL_PORT"]),
            identity=Identity(process.pid, process.create_time()),
        )
    except (psutil.Error, KeyError, ValueError):
        return None  # another user's process, one that has just ended, or one that kato did not start


def _serves(process: psutil.Process, instance_id: str) -> bool:
    """Tell the service from another program that inherited its environment."""
    words = process.cmdline()
    return process.status() != psutil.STATUS_ZOMBIE and (
        "kato_service" in words or words[:1] == [child_name(instance_id)]
    )


def _running(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def _same(identity: Identity) -> psutil.Process | None:
    process = _running(identity.pid)
    return process if process and abs(process.create_time() - identity.started) <= _SAME_START else None


def _left(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended, and return those that have not; one that waits for its parent's notice has ended."""
    deadline = time.monotonic() + seconds
    while processes and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        processes = [process for process in processes if process.is_running() and _running(process.pid)]
    return processes


def _each(processes: Iterable[psutil.Process], signal: str) -> None:
    for process in processes:
        try:
            getattr(process, signal)()
        except psutil.NoSuchProcess:
            continue  # it ended by itself meanwhile, which is what was wanted
