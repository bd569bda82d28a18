"""The box a local cluster lives in: its own network, mount and process namespaces, held by one process.

Everything of the cluster runs below that process (the pause program, as in a pod), so killing it is the whole
tear-down: the kernel ends every process of the box, and its mounts, pod networks and links go with it. Nothing of it
is ever visible in the machine's own namespaces. `local.py` opens it; `runs.py` closes what a dead run left.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.cluster.errors import ClusterError
from tests.support.eventually import eventually

CLONE_NEWNET = 0x40000000  # <linux/sched.h>
PATIENCE = 60.0  # seconds the kernel may take on a busy machine
HOLDER = "hold"  # the holder's file name in the run directory: its command line tells whose box it is
RESOLVER = Path("/etc/resolv.conf")
LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Box:
    """The namespaces held by the process `pid`, and the programs this process started in them."""

    pid: int
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list, compare=False)

    def contained(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> list[str]:
        """Return the command line that runs `argv` as a part of the box: it sees the box's files and dies with it."""
        settings = [f"{key}={value}" for key, value in (env or {}).items()]
        enter = ["nsenter", "--target", str(self.pid), "--net", "--mount", "--pid", "--"]
        return [*enter, "env", f"--chdir={Path.cwd()}", *settings, *map(str, argv)]

    def visiting(self, argv: Sequence[str], resolver: Path) -> list[str]:
        """Return the command line that runs `argv` in the box's network, with `resolver` as its resolv.conf.

        It stays a process of the machine, with the machine's files and in the caller's working directory.
        """
        enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "unshare", "--mount", "--propagation=private"]
        mount = 'mount --bind "$0" "$1" && shift && exec "$@"'
        return [*enter, "sh", "-c", mount, str(resolver), str(RESOLVER.resolve()), *argv]

    def spawn(
        self,
        argv: Sequence[str | Path],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a long-lived program of the box; its output goes to `log`."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                self.contained(argv, env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the harness, which then takes things down in order
                pass_fds=pass_fds,
            )
        self.programs.append(process)
        return process

    def check(self, argv: Sequence[str | Path], stdin: str = "") -> str:
        """Run a short command of the set-up inside and return what it printed; ClusterError when it fails."""
        done = subprocess.run(self.contained(argv), input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ClusterError(f"`{' '.join(map(str, argv))}` failed in the cluster's namespace: {done.stderr.strip()}")
        return done.stdout

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move the calling thread into the box's network, and back at the end.

        Sockets and threads made meanwhile belong to that network; files and processes stay the machine's own.
        """
        with (
            Path("/proc/thread-self/ns/net").open("rb") as home,
            Path(f"/proc/{self.pid}/ns/net").open("rb") as there,
        ):
            join_network(there.fileno())
            try:
                yield
            finally:
                join_network(home.fileno())


def join_network(namespace: int) -> None:
    """Move the calling thread into the network namespace behind a file descriptor."""
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise ClusterError(f"cannot enter the cluster's network namespace: {os.strerror(code)}")


def open_box(run: Path, pause: Path) -> Box:
    """Make the namespaces and the process that holds them. The run directory must be there."""
    holder = run / HOLDER
    shutil.copy(pause, holder)
    argv = ["unshare", "--net", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with (run / "hold.log").open("ab") as log:
        process = subprocess.Popen(
            [*argv, str(holder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # as in Box.spawn
        )
    try:
        eventually(lambda: process.poll() is not None or find_holder(run) is not None, timeout=PATIENCE)
    except AssertionError as error:
        raise ClusterError(f"no namespaces within {PATIENCE:.0f} s") from error
    pid = find_holder(run)
    if pid is None:
        raise ClusterError(f"cannot make namespaces: {(run / 'hold.log').read_text().strip()}")
    return Box(pid, [process])


def find_holder(run: Path) -> int | None:
    """Return the process that holds the box of a run directory, by its own program file."""
    for program in Path("/proc").glob("[0-9]*/exe"):  # psutil remembers what a process was before its exec
        try:
            if program.readlink() == run / HOLDER:
                return int(program.parent.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return None


def find_box(run: Path) -> Box | None:
    """Return the box of a run directory, when it is open."""
    pid = find_holder(run)
    return Box(pid) if pid is not None else None


def reap(box: Box) -> None:
    """Take the exit codes of the programs this process started in a box that is closed: no zombie stays."""
    for process in box.programs:
        process.wait()


def close_box(run: Path) -> None:
    """End every process of a run's box and wait until the kernel has let go of them."""
    pid = find_holder(run)
    if pid is None:
        return
    try:
        holder = psutil.Process(pid)
        holder.kill()
        holder.wait(timeout=PATIENCE)  # ends only when the last process of the box has ended
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired as error:
        raise ClusterError(f"process {pid} and what it holds do not end; see {run}") from error
