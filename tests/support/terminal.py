"""A command on a terminal of its own: what it prints there, and what is typed. Used by tests/cli."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

from tests.support.cli import Kato
from tests.support.eventually import eventually


class Terminal:
    """The terminal's other end. `printed` is everything that was shown so far."""

    def __init__(self, process: Popen[bytes], descriptor: int) -> None:
        self.process, self.printed = process, ""
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def wait_for(self, text: str) -> None:
        """Wait until the command has printed `text`."""
        eventually(lambda: text in self.read(), timeout=60)

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self._descriptor, text.encode())

    def read(self) -> str:
        """Return everything that was printed so far."""
        try:
            while chunk := os.read(self._descriptor, 65536):
                self.printed += chunk.decode(errors="replace")
        except OSError:
            pass  # nothing more yet, or the command has ended and all of it is read
        return self.printed

    def finish(self) -> str:
        """Wait for the command's end and return everything that it printed."""
        eventually(lambda: self.read() and self.process.poll() is not None, timeout=60)
        return self.read()


@contextmanager
def on_a_terminal(kato: Kato, *words: str, width: int = 80, **environment: str) -> Iterator[Terminal]:
    """Run a command on a terminal of `width` columns; it is ended when the block ends."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    inherited = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "NO_COLOR"}}
    own = {"KATO_HOME": str(kato.home.root), "TERM": "xterm-256color", **environment}
    command = [sys.executable, "-m", "kato_cli", *words]
    process = Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**inherited, **own}, start_new_session=True
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
