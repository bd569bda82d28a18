"""Many `kato start` at the same moment: programs of their own, forked from one that has imported what they need.

Used by the races of tests/cli. A start that imports by itself costs as much again, and spreads the starts over seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.cli import ROOT, Kato, Ran


def start_at_once(kato: Kato, commands: Sequence[Sequence[str]]) -> list[Ran]:
    """Run `kato start` with each of these options, all of them let go at once; return how each ended."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KATO_")}
    subprocess.run(
        [sys.executable, "-m", "tests.support.starters", str(kato.directory), json.dumps(commands)],
        cwd=ROOT,
        env={**environment, "KATO_HOME": str(kato.home.root)},
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return [
        Ran(
            int(printed(kato.directory, number, "code").read_text()),
            printed(kato.directory, number, "out").read_text(),
            printed(kato.directory, number, "err").read_text(),
        )
        for number in range(len(commands))
    ]


def printed(directory: Path, number: int, what: str) -> Path:
    """Return the file of one start: what it printed (`out`, `err`), or its exit code (`code`)."""
    return directory / f"start-{number}.{what}"


def main() -> None:
    """Fork the starts, let them go, and wait for all."""
    from kato_cli import start  # noqa: F401, PLC0415 - for the forks, which find it imported

    directory, commands = Path(sys.argv[1]), json.loads(sys.argv[2])
    gate, lever = os.pipe()
    forked = [fork(directory, number, words, (gate, lever)) for number, words in enumerate(commands)]
    os.close(lever)
    for pid in forked:
        os.waitpid(pid, 0)


def fork(directory: Path, number: int, words: Sequence[str], pipe: tuple[int, int]) -> int:
    """Fork one start, which waits at the pipe until nobody can write to it; return its PID."""
    from kato_cli.main import KATO, program, run  # noqa: PLC0415 - as above

    pid = os.fork()
    if pid:
        return pid
    for what, descriptor in (("out", 1), ("err", 2)):
        os.dup2(os.open(printed(directory, number, what), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    gate, lever = pipe
    os.close(lever)
    os.read(gate, 1)
    sys.argv = ["kato", "start", *words]
    code = run(program(KATO), "kato")
    printed(directory, number, "code").write_text(str(code))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
