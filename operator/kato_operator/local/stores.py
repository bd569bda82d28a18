"""The shared stores of this machine: a Redis and a mongod that kato itself runs, and no others.

Called by `kato stores` and `kato stop` (spec: cli.md, `kato stores`). What is recorded of a store lies in its own
directory beside its data; its process is recognised as an instance's is, by PID and start time.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EADDRINUSE
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from kato_operator.local import processes
from kato_operator.local.home import Home, write_whole
from kato_operator.local.ports import PortWish, listen, listens, port_of
from kato_operator.local.processes import Identity
from kato_spec.errors import Rejected, Transient

START_SECONDS = 60.0
STOP_SECONDS = 10.0  # a store writes out what it has before it ends
_LOCK_SECONDS = 120.0
_POLL_SECONDS = 0.05
_LOSSES = 9  # of ports to others that start at the same moment


class NotInstalled(Rejected):
    """The machine has no program of this kind of store; the message says which would do."""

    def __init__(self, kind: Kind) -> None:
        super().__init__("PATH", kind.name, f"one of {', '.join(kind.programs)}")
        self.args = (f"no {kind.name} on this machine: install {' or '.join(kind.programs)}, or put it on PATH",)


class StoresIncomplete(Rejected):
    """An instance needs both stores, and not both run; the message says which does not."""

    def __init__(self, lacking: Sequence[str]) -> None:
        super().__init__("--stores", ", ".join(lacking), "a Redis and a MongoDB that run")
        self.args = (
            f"--stores needs a Redis and a MongoDB that kato runs; does not run: {', '.join(lacking)}. "
            "`kato stores start` starts what is installed; --redis-url and --mongodb-uri name others",
        )


class _PortLost(Transient):
    """Another program took the port between the choice and the start: a store cannot inherit a socket."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of store: the programs that will do, the port wanted, its words, its URL, and when it answers."""

    name: str
    programs: tuple[str, ...]
    port: int
    options: Callable[[int, Path], Sequence[str]]
    scheme: str
    answers: Callable[[socket.socket], bool]


def _redis_options(port: int, data: Path) -> Sequence[str]:
    durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
    return ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(data), *durable)


def _mongod_options(port: int, data: Path) -> Sequence[str]:
    return ("--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", str(data))


def _pongs(connection: socket.socket) -> bool:
    connection.sendall(b"PING\r\n")
    return connection.recv(16).startswith(b"+PONG")  # while it still loads it says -LOADING


REDIS = Kind("redis", ("redis-server", "valkey-server"), 6379, _redis_options, "redis", _pongs)
MONGODB = Kind("mongodb", ("mongod",), 27017, _mongod_options, "mongodb", lambda _: True)
KINDS = (REDIS, MONGODB)


class Store(BaseModel):
    """A store that kato started."""

    model_config = ConfigDict(frozen=True)

    name: str
    port: int
    url: str
    pid: int
    started: float

    @property
    def identity(self) -> Identity:
        """Its process."""
        return Identity(self.pid, self.started)


class Stores:
    """The stores of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def running(self) -> dict[str, Store]:
        """Return the stores that run, by name."""
        found = {kind.name: self._recorded(kind) for kind in KINDS}
        return {name: store for name, store in found.items() if store and processes.alive(store.identity)}

    def urls(self) -> tuple[str, str]:
        """Return the addresses of the Redis and the MongoDB.

        Raises:
            StoresIncomplete: one of them does not run.
        """
        running = self.running()
        lacking = [kind.name for kind in KINDS if kind.name not in running]
        if lacking:
            raise StoresIncomplete(lacking)
        return running[REDIS.name].url, running[MONGODB.name].url

    def start(self) -> tuple[dict[str, Store], list[str]]:
        """Start what does not run yet and wait until it answers; return what runs, and the kinds not installed here.

        Raises:
            NotInstalled: there is no Redis on this machine.
            Transient: a store ended at once, or does not answer.
        """
        programs = {kind.name: program for kind in KINDS if (program := _program(kind))}
        missing = [kind.name for kind in KINDS if kind.name not in programs]
        if REDIS.name in missing:
            raise NotInstalled(REDIS)
        with self._turn():
            running = self.running()
            for kind in KINDS:
                if kind.name not in running and kind.name in programs:
                    running[kind.name] = self._start(kind, programs[kind.name])
        return running, missing

    def stop(self) -> list[str]:
        """Stop the stores that kato started, and return their names; their data stays.

        Raises:
            NotPermitted: one of them belongs to another user; none was stopped.
        """
        with self._turn():
            running = self.running()
            identities = [store.identity for store in running.values()]
            processes.require_permission(identities)
            processes.stop(identities, within=STOP_SECONDS)
        return [*running]

    def data(self, name: str) -> Path:
        """Return the directory of one store."""
        return self._home.stores / name

    def _start(self, kind: Kind, program: str) -> Store:
        self.data(kind.name).mkdir(parents=True, exist_ok=True, mode=0o700)
        for _ in range(_LOSSES):
            with suppress(_PortLost):
                return self._start_once(kind, program)
        return self._start_once(kind, program)

    def _start_once(self, kind: Kind, program: str) -> Store:
        data = self.data(kind.name)
        with listen(PortWish(kind.port), {}) as listener:
            port = port_of(listener)
        log = data / "store.log"
        with log.open("ab") as output:
            begins = output.tell()
            process = subprocess.Popen(  # noqa: S603 - the store that this machine's PATH names
                [program, *kind.options(port, data)],
                cwd=data,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            store = Store(
                name=kind.name,
                port=port,
                url=f"{kind.scheme}://127.0.0.1:{port}",
                pid=process.pid,
                started=processes.started(process.pid),
            )
            write_whole(self._file(kind), store.model_dump_json(indent=2) + "\n")
            _wait(kind, store, process, log, begins)
        except BaseException:
            process.kill()
            raise
        return store

    def _recorded(self, kind: Kind) -> Store | None:
        try:
            return Store.model_validate_json(self._file(kind).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def _file(self, kind: Kind) -> Path:
        return self.data(kind.name) / "store.json"

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._home.stores.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with FileLock(self._home.stores / "stores.lock", timeout=_LOCK_SECONDS):
                yield
        except Timeout as error:
            raise Transient(f"another kato has worked on the stores for {_LOCK_SECONDS:g} s: try again") from error


def listed(stores: Stores) -> list[Mapping[str, object]]:
    """Return every kind of store as it stands: running, stopped or not installed."""
    running = stores.running()
    rows: list[Mapping[str, object]] = []
    for kind in KINDS:
        store = running.get(kind.name)
        standing = "running" if store else "stopped" if _program(kind) else "not installed"
        known = store.model_dump() if store else {"name": kind.name, "port": None, "url": None, "pid": None}
        rows.append({**known, "status": standing, "data": str(stores.data(kind.name))})
    return rows


def _program(kind: Kind) -> str | None:
    return next(filter(None, map(shutil.which, kind.programs)), None)


def _wait(kind: Kind, store: Store, process: subprocess.Popen[bytes], log: Path, log_begins: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lost = os.strerror(EADDRINUSE).encode() in log.read_bytes()[log_begins:]
            raise (_PortLost if lost else Transient)(f"{kind.name} ended with {process.returncode}: see {log}")
        if listens(store.pid, store.port):  # and nobody else, who took the port just before
            with suppress(OSError), socket.create_connection(("127.0.0.1", store.port), timeout=2) as connection:
                if kind.answers(connection):
                    return
        time.sleep(_POLL_SECONDS)
    raise Transient(f"{kind.name} does not answer after {START_SECONDS:g} s: see {log}")
