"""What the harness says while it works, on stderr: a line when a slow thing starts, every 30 s, and when it ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.cluster.errors import ClusterError

HEARTBEAT = 30.0  # seconds between two signs of life of a slow command
TAIL = 15  # lines of a failed command's log that are shown


def say(line: str) -> None:
    """Write one line of progress."""
    sys.stderr.write(f"[cluster] {line}\n")
    sys.stderr.flush()


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long the block took, when it ended well."""
    started = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - started:.1f} s")


def run_logged(
    argv: Sequence[object], log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Run a slow command, append its output to `log`, and say every 30 s that it still runs.

    The words of `argv` are taken as text. Raises ClusterError with the end of the log when the command fails or is
    not found.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in argv]
    started = time.monotonic()
    with log.open("ab") as out:
        start = out.tell()
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env=env)
        except FileNotFoundError as error:
            raise ClusterError(f"{words[0]} is not installed") from error
        try:
            code = wait_aloud(process, words[0], started)
        except BaseException:
            process.kill()
            process.wait()
            raise
    if code != 0:
        raise ClusterError(f"`{' '.join(words[:4])} ...` failed with code {code}; {log} ends:\n{tail(log, start)}")


def wait_aloud(process: subprocess.Popen[bytes], name: str, started: float) -> int:
    """Wait for a process and say every 30 s that it still runs."""
    while True:
        try:
            return process.wait(timeout=HEARTBEAT)
        except subprocess.TimeoutExpired:
            say(f"  {Path(name).name} still runs after {time.monotonic() - started:.0f} s")


def tail(log: Path, start: int = 0) -> str:
    """Return the last lines of a log, from byte `start` on, indented."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-TAIL:])
