"""Every cluster has a run directory: its files, its logs, and the record by which another process finds or ends it.

The process that raises a cluster holds a lock on the run directory for as long as the cluster is its own. The kernel
drops that lock when the process dies, however it dies, so a run without a holder that was not left on purpose
(`make cluster`) is dead: the next start, or `down`, sweeps it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from tests.support.cluster import kind
from tests.support.cluster.box import close_box, find_box
from tests.support.cluster.cache import CACHE
from tests.support.cluster.cgroups import remove_group
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.progress import say

RUNS = CACHE / "runs"
RECORD = "run.json"
LOCAL = "local"
KIND = "kind"


@dataclass(frozen=True)
class Record:
    """What another process must know of a run: `kind` is LOCAL or KIND; one that is `kept` outlives its starter."""

    kind: str
    kept: bool = False


@dataclass(frozen=True)
class Run:
    """A run directory. `owner` is the lock of the process that raised the cluster, and is None elsewhere."""

    path: Path
    owner: FileLock | None = None

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.path.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.path / "admin.conf"

    @property
    def group(self) -> str:
        """The control group of the run's pods."""
        return f"kato-{self.name}"

    def log(self, program: str) -> Path:
        """Return the file a program of the cluster logs to."""
        return self.path / "logs" / f"{program}.log"

    def record(self) -> Record:
        """Read the run's record."""
        return Record(**json.loads((self.path / RECORD).read_text()))

    def write(self, record: Record) -> None:
        """Write the run's record, whole or not at all."""
        half = self.path / f".{RECORD}"
        half.write_text(json.dumps(asdict(record)))
        half.rename(self.path / RECORD)


def create(name: str, sort: str, runs: Path = RUNS) -> Run:
    """Make a run directory owned by this process. ClusterError when a cluster of that name is there."""
    with all_runs(runs):
        path = runs / name
        if path.exists():
            raise ClusterError(f"cluster {name} is there already")
        owner = owner_lock(path)
        owner.acquire(timeout=0)
        (path / "logs").mkdir(parents=True)
        run = Run(path, owner)
        run.write(Record(sort))
    return run


def keep(run: Run) -> None:
    """Leave a run of this process to whoever ends it by its name."""
    run.write(replace(run.record(), kept=True))
    if run.owner is not None:
        run.owner.release()


def find(name: str, runs: Path = RUNS) -> Run | None:
    """Return the run of that name, whoever owns it."""
    path = runs / name
    return Run(path) if (path / RECORD).exists() else None


def every(runs: Path = RUNS) -> Iterator[Run]:
    """Yield all runs there are."""
    for path in sorted(runs.glob("[!.]*")):
        yield Run(path)


def sweep(runs: Path = RUNS) -> list[str]:
    """End what dead runs left behind and return their names."""
    with all_runs(runs):
        dead = [run for run in every(runs) if is_dead(run)]
        for run in dead:
            say(f"sweeping cluster {run.name}, whose harness died")
            remove(run)
    return [run.name for run in dead]


def end(run: Run) -> None:
    """End a run with all it holds; one that is gone is no error. ClusterError when a living process owns it."""
    with all_runs(run.path.parent):
        if run.owner is None and is_owned(run):
            raise ClusterError(f"cluster {run.name} belongs to a process that still runs")
        if run.path.exists():
            remove(run)


def all_runs(runs: Path) -> FileLock:
    """Return the lock under which runs come and go: nobody sweeps between a directory and its owner's lock."""
    runs.mkdir(parents=True, exist_ok=True)
    return FileLock(runs / ".lock")


def owner_lock(path: Path) -> FileLock:
    """Return the lock that says whose run it is; it lies beside the directory, which comes and goes."""
    return FileLock(path.with_name(f".{path.name}.owner"))


def is_owned(run: Run) -> bool:
    """Say whether a living process owns a run."""
    lock = owner_lock(run.path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def is_dead(run: Run) -> bool:
    """Say whether nobody owns a run, and nobody left it on purpose or the machine has restarted since."""
    if is_owned(run):
        return False
    if not (run.path / RECORD).exists():
        return True
    record = run.record()
    return not record.kept or (record.kind == LOCAL and find_box(run.path) is None)


def remove(run: Run) -> None:
    """Do what `end` says, under the lock of all runs."""
    if (run.path / RECORD).exists() and run.record().kind == KIND:
        kind.delete(run.name)
    close_box(run.path)
    remove_group(run.group)
    shutil.rmtree(run.path)
    if run.owner is not None:
        run.owner.release()
    Path(owner_lock(run.path).lock_file).unlink(missing_ok=True)
