"""That no process of these tests outlives them, pytest's own end included."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from kato_operator.local import processes
from kato_operator.local.processes import Identity
from tests.support.eventually import eventually
from tests.support.guardian import ROOT

# A test as far as this matters: it has something run in a session of its own, says so, and is killed.
TEST = """
import os, subprocess, sys
from pathlib import Path
from tests.support.guardian import guarding
with guarding(Path(sys.argv[1])):
    for home in sys.argv[2:]:
        environment = {**os.environ, "KATO_HOME": home}
        print(subprocess.Popen(["sleep", "600"], env=environment, start_new_session=True).pid, flush=True)
    sys.stdin.read()
"""


def test_what_tests_started_ends_when_pytest_is_killed(tmp_path: Path) -> None:
    homes = [str(tmp_path / "guarded" / "home"), str(tmp_path / "other" / "home")]
    command = [sys.executable, "-c", TEST, str(tmp_path / "guarded"), *homes]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as test:
        assert test.stdout is not None
        guarded, other = (psutil.Process(int(test.stdout.readline())) for _ in homes)
        identity = Identity(guarded.pid, guarded.create_time())
        try:
            os.kill(test.pid, signal.SIGKILL)
            eventually(lambda: not processes.alive(identity), timeout=60)
            assert other.is_running()
        finally:
            other.kill()
