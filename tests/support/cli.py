"""The `kato` program as a user runs it: a real process with a home of its own.

Used by tests/cli through its fixtures, which leave no process behind, whatever a test does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kato_operator.local import processes
from kato_operator.local.home import Home

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "quickstart.yaml"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Kato:
    """Runs commands against one home; `directory` is where they run."""

    home: Home
    directory: Path

    def __call__(self, *words: str, code: int = 0, stdin: str = "", **environment: str) -> Ran:
        """Run a command and check its exit code."""
        process = self.begin(*words, **environment)
        out, err = process.communicate(stdin)
        assert process.returncode == code, f"kato {' '.join(words)} ended with {process.returncode}\n{out}\n{err}"
        return Ran(process.returncode, out, err)

    def begin(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("KATO_")}
        return subprocess.Popen(
            [sys.executable, "-m", "kato_cli", *words],
            cwd=self.directory,
            env={**inherited, "KATO_HOME": str(self.home.root), "COLUMNS": "120", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self, *words: str, **environment: str) -> Any:  # noqa: ANN401 - any JSON value
        """Run a command with `-o json` and return what it printed."""
        return json.loads(self(*words, "-o", "json", **environment).out)

    def registry(self) -> dict[str, dict[str, Any]]:
        """Return the entries that stand on file now."""
        entries: dict[str, dict[str, Any]] = json.loads(self.home.registry.read_text())["instances"]
        return entries

    def write(self, name: str, text: str) -> str:
        """Write a file beside which the commands run, and return its name."""
        (self.directory / name).write_text(text, "utf-8")
        return name

    def clean(self) -> None:
        """End what still runs of this home, by its process ID."""
        for found in list(processes.discover(self.home)):
            with suppress(ProcessLookupError):
                os.kill(found.identity.pid, signal.SIGKILL)


def fields(problems: str) -> Sequence[str]:
    """Return the field of every problem that a command listed on stderr: `kato: file:line: field: message`."""
    return [line.split(": ")[2] for line in problems.splitlines() if line.count(": ") >= 3]
