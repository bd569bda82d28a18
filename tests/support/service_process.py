"""A real service process on loopback, for tests: started, asked, stopped, killed. Called by tests/service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support import http
from tests.support.eventually import eventually

INTERNAL_TOKEN = "the-operator's-token"  # noqa: S105 - a test's own


@dataclass
class ServiceProcess:
    """`kato serve` over one data directory; it may be started again after it has ended.

    `before`: words of a command that runs it.
    """

    directory: Path
    settings: dict[str, str] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    internal_port: int = 0
    starts: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def internal_url(self) -> str:
        return f"http://127.0.0.1:{self.internal_port}"

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / f"service-{self.starts}.log"

    def spawn(self) -> Self:
        """Start the process and do not wait for it."""
        self.starts += 1
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KATO_")}
        environment |= {
            "KATO_PORT": "0",
            "KATO_INTERNAL_PORT": "0",
            "KATO_INTERNAL_TOKEN": INTERNAL_TOKEN,
            "KATO_DATA_DIR": str(self.data_dir),
            **self.settings,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self.before, sys.executable, "-m", "kato_service"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def start(self) -> Self:
        """Start the process and return when it serves."""
        return self.spawn().wait_until_serving()

    def wait_until_serving(self, timeout: float = 60) -> Self:
        """Return when the process that was started serves."""
        line = eventually(self._serving, timeout=timeout) or {}
        self.port, self.internal_port = line["port"], line["internal_port"]
        return self

    def client(self, **options: Any) -> httpx.Client:  # noqa: ANN401 - httpx's own options
        return http.Client(base_url=self.url, timeout=60, **options)

    def side_door(self, token: str = INTERNAL_TOKEN) -> httpx.Client:
        return http.Client(base_url=self.internal_url, timeout=60, headers={"Authorization": f"Bearer {token}"})

    def kill(self) -> None:
        """End the process as power loss to it would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask the process to end, wait for it and return its exit code."""
        return self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let the process stand still."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process go on."""
        self._signal(signal.SIGCONT)

    def wait(self) -> int:
        """Wait for the process to end by itself and return its exit code."""
        assert self.process is not None
        return self.process.wait(60)

    def lines(self) -> list[dict[str, Any]]:
        """Return what the process has logged as JSON."""
        whole, _, _ = self.log.read_text().rpartition("\n")  # the last line may be half written
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def _serving(self) -> dict[str, Any] | None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}: {self.log.read_text()[-2000:]}")
        text = self.log.read_text()
        whole = text[: text.rfind("\n") + 1].splitlines()
        found = [json.loads(line) for line in whole if '"event":"serving"' in line]
        return found[0] if found else None

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def _end(self, number: signal.Signals) -> int:
        self._signal(number)
        return self.wait()
