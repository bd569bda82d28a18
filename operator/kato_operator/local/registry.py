"""The registry: which instances run on this machine, in one file that scripts may read.

Called by `machine` and the commands (spec: cli.md, "Registry"). The file is changed only under a lock and only as a
whole; what it says is checked against the running processes at every reading.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from kato_operator.local.home import Home, write_whole
from kato_operator.local.processes import Found, Identity, alive, discover, found_at
from kato_spec.errors import Rejected, Transient
from kato_spec.keys import child_name

VERSION = 1
LOCK_SECONDS = 120.0
Notice = Callable[[str], None]
Status = Literal["starting", "running", "stopping"]


class Instance(BaseModel):
    """One entry. The first five fields are stable for scripts; `updated` is UTC, `started` in seconds since 1970."""

    model_config = ConfigDict(frozen=True)

    name: str
    container: str
    api_port: int
    status: Status
    updated: datetime
    pid: int
    started: float
    internal_port: int

    @property
    def identity(self) -> Identity:
        """The process of the instance."""
        return Identity(self.pid, self.started)

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"http://127.0.0.1:{self.api_port}"


class _File(BaseModel):
    instances: dict[str, Instance]
    version: int = VERSION


Instances = dict[str, Instance]


class Registry:
    """The registry of one home. `notice` is told what was found damaged or gone, one sentence each."""

    def __init__(self, home: Home, notice: Notice) -> None:
        self._home = home
        self._notice = notice

    def read(self, ended: Collection[Identity] = ()) -> Instances:
        """Return the instances whose process runs, by ID; entries of processes that are gone are dropped.

        Of those in `ended` nothing is said: the caller ended them.

        Raises:
            Rejected: the file was written by a newer kato.
            Transient: another command held the lock for too long.
        """
        with self.changing(ended) as instances:
            return dict(instances)

    def glance(self) -> Instances | None:
        """Return what stands on file without waiting for the lock or looking at any process; None: nothing usable.

        Raises:
            Rejected: the file was written by a newer kato.
        """
        try:
            return _parsed(self._home.registry.read_bytes(), str(self._home.registry))
        except (OSError, ValueError):
            return None

    @contextmanager
    def changing(self, ended: Collection[Identity] = ()) -> Iterator[Instances]:
        """Hold the lock and give the instances to change; they are written when the block ends without an error."""
        self._home.prepare()
        with _held(self._home, LOCK_SECONDS):
            on_file, instances = self._load()
            for instance_id in [key for key, entry in instances.items() if not alive(entry.identity)]:
                entry = instances.pop(instance_id)
                found = found_at(self._home, entry.pid)
                if found and found.id == instance_id:  # the clock was set since, which moves every start time
                    instances[instance_id] = entry.model_copy(update={"started": found.identity.started})
                elif entry.status == "running" and entry.identity not in ended:  # else who starts or stops it tells
                    self._notice(f"{instance_id} (PID {entry.pid}) is gone: entry dropped, memory kept")
            yield instances
            if instances != on_file:
                text = json.dumps(_File(instances=instances).model_dump(mode="json"), indent=2)
                write_whole(self._home.registry, text + "\n")

    def mark(self, instance_id: str, identity: Identity, status: Status) -> None:
        """Record how the instance stands, unless its entry is another process's by now."""
        with self.changing() as instances:
            entry = instances.get(instance_id)
            if entry and entry.identity == identity and entry.status != status:
                instances[instance_id] = entry.model_copy(update={"status": status, "updated": now()})

    def _load(self) -> tuple[Instances | None, Instances]:
        """Return what stands on file (None: nothing usable) and what to go on with."""
        path = self._home.registry
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None, self._rebuilt()
        try:
            instances = _parsed(raw, str(path))
        except ValueError:
            aside = path.with_name(f"{path.name}.bad-{now():%Y%m%dT%H%M%S.%fZ}")
            path.rename(aside)
            self._notice(f"{path} was damaged: kept as {aside.name}, rebuilt from the running processes")
            return None, self._rebuilt()
        return instances, dict(instances)

    def _rebuilt(self) -> Instances:
        return {found.id: _entry(found) for found in discover(self._home)}


def now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC)


@contextmanager
def _held(home: Home, seconds: float) -> Iterator[None]:
    try:
        with FileLock(home.registry_lock, timeout=seconds):
            yield
    except Timeout as error:
        raise Transient(f"another kato command has held {home.registry_lock} for {seconds:g} s: try again") from error


def _parsed(raw: bytes, path: str) -> Instances:
    """Return the instances of a registry's file; a damaged one is a ValueError."""
    content = json.loads(raw)
    _refuse_newer(content, path)
    return _File.model_validate(content).instances


def _refuse_newer(content: object, path: str) -> None:
    version = content.get("version", VERSION) if isinstance(content, dict) else VERSION
    if isinstance(version, int) and version > VERSION:
        raise Rejected("version", version, f"up to {VERSION} in {path}: upgrade kato, or set KATO_HOME to another home")


def _entry(found: Found) -> Instance:
    return Instance(
        name=found.name,
        container=child_name(found.id),
        api_port=found.api_port,
        status="running",
        updated=now(),
        pid=found.identity.pid,
        started=found.identity.started,
        internal_port=found.internal_port,
    )
