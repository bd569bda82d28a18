"""A process that ends what tests left running under a directory, even when pytest itself is killed.

Started by the fixtures of tests/cli. It waits for the end of its standard input, which only pytest can write to.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from kato_operator.local.processes import HOME_MARK

ROOT = Path(__file__).parents[2]
HOMES = ("KATO_HOME", HOME_MARK)


@contextmanager
def guarding(directory: Path) -> Iterator[None]:
    """Have all processes whose home is within `directory` ended at the end of this block, or of this process."""
    command = [sys.executable, "-m", "tests.support.guardian", str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True):
        yield


def belonging(directory: Path) -> Iterator[psutil.Process]:
    """Yield the processes whose home is within `directory`."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            environment = process.environ()
            homes = [environment[name] for name in HOMES if name in environment]
            if process.status() != psutil.STATUS_ZOMBIE and any(Path(home).is_relative_to(directory) for home in homes):
                yield process


def main() -> None:
    """Wait, then kill until nothing is left: what is killed may just have started another."""
    sys.stdin.read()
    directory = Path(sys.argv[1])
    while left := list(belonging(directory)):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1)


if __name__ == "__main__":
    main()
