"""What every store server of the tests has in common: a process on loopback that is stopped, killed, paused."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from tests.support.eventually import eventually

# Below what Linux takes for outgoing connections; each worker of pytest-xdist has ports of its own.
PORTS = range(20000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), 32000, 16)
PATIENCE = 20.0  # seconds for an answer, where it is not the point that it comes soon
STARTING = 60.0  # seconds, on a busy machine


class StoresError(Exception):
    """A store server cannot be had; the message says why and what to do."""


def free_port() -> int:
    """Return a port that nobody listens on now, and that no outgoing connection is given by the system meanwhile."""
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        with closing(socket.socket()) as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


class Server:
    """A server on a port of its own, with its files in `directory`; it may be started again after it has ended."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    def command(self) -> Sequence[str]:
        """Return the words of the command."""
        raise NotImplementedError

    def executable(self) -> str | None:
        """Return the program's file where it is not the first word of the command."""
        return None

    def answers(self) -> bool:
        """Say whether the server serves."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the process and return when it serves."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), executable=self.executable(), cwd=self.directory, stdout=log, stderr=log
            )
        eventually(self._serves, timeout=STARTING)

    def stop(self) -> None:
        """Ask the process to end, and wait for it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let the process stand still; its connections stay open."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process go on."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process in whatever state it is."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def connections(self) -> int:
        """Count the established connections to the server's port."""
        wanted = f":{self.port:04X}"
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1].endswith(wanted) and row[3] == "01" for row in rows)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process

    def _end(self, number: signal.Signals) -> None:
        process = self._running()
        process.send_signal(number)
        os.kill(process.pid, signal.SIGCONT)
        process.wait(60)

    def _serves(self) -> bool:
        code = self._running().poll()
        if code is not None:
            raise StoresError(f"{self.command()[0]} ended with {code}: {self.log.read_text()[-2000:]}")
        return self.answers()
