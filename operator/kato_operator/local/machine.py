"""Instances as processes of this machine: started on a port of their own, found by ID or name, told, stopped.

Called by `reconcile` and by the commands. It does what it is told; what should be done is decided in `plan` (spec:
cli.md, "Instances", "Ports").
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from kato_operator.local import asked as wishes
from kato_operator.local import processes
from kato_operator.local.asked import Asked
from kato_operator.local.home import Home, write_whole
from kato_operator.local.interrupts import CtrlC, deferred
from kato_operator.local.ports import INTERNAL_PORT, PortWish, listen, port_of
from kato_operator.local.registry import Instance, Instances, Notice, Registry, now
from kato_operator.local.sidedoor import SideDoor
from kato_operator.local.stores import Stores
from kato_spec.errors import Rejected, Transient
from kato_spec.keys import child_name
from kato_spec.records import StateRecord

START_SECONDS = 120.0
_POLL_SECONDS = 0.05
DEFAULT_NAME = "KatoProcessor"


class UnknownInstance(Rejected):
    """Nothing of this name runs here, or several do; the message says what runs."""

    def __init__(self, reference: str, message: str) -> None:
        super().__init__("instance", reference, "one that runs")
        self.args = (message,)


class RunsAlready(Rejected):
    """An instance of this ID runs already; the message says where."""

    def __init__(self, instance_id: str, port: int) -> None:
        super().__init__("id", instance_id, "an ID that does not run yet")
        self.args = (f"{instance_id} runs already on port {port}: `kato stop {instance_id}` first, or take another ID",)


class NotStarted(Transient):
    """The process ended, or did not answer in time; the message carries its own last words."""


@dataclass(frozen=True, slots=True)
class Order:
    """One instance to start: what is asked of it, and which port will do."""

    id: str
    asked: Asked
    port: PortWish


@dataclass(frozen=True, slots=True)
class _Starting:
    id: str
    instance: Instance
    process: subprocess.Popen[bytes]
    log_begins: int


@dataclass(frozen=True, slots=True)
class _Doors:
    """The listening sockets of an instance: this program's until its process has inherited them."""

    api: socket.socket
    internal: socket.socket

    @classmethod
    def open(cls, wish: PortWish, instances: Instances, held: ExitStack) -> Self:
        """Listen for the API and the side door, beside the ports of other instances; `held` closes both.

        Raises:
            PortTaken: naming who holds the wanted port.
        """
        claimed = {port: key for key, entry in instances.items() for port in (entry.api_port, entry.internal_port)}
        return cls(
            api=held.enter_context(listen(wish, claimed)),
            internal=held.enter_context(listen(PortWish(INTERNAL_PORT), claimed)),
        )

    @property
    def descriptors(self) -> tuple[int, int]:
        """What the process inherits."""
        return self.api.fileno(), self.internal.fileno()


class Machine:
    """This machine, seen through one home. `notice` is told in one sentence what a user should know."""

    def __init__(self, home: Home, notice: Notice) -> None:
        self.home = home
        self.registry = Registry(home, notice)

    def running(self) -> Instances:
        """Return the instances that run, by ID."""
        return self.registry.read()

    def find(self, reference: str) -> tuple[str, Instance]:
        """Return ID and entry of the running instance that `reference` names: its ID, container or name.

        Raises:
            UnknownInstance: nothing of that name runs, or several do; the message lists them.
        """
        instances = self.running()
        if reference in instances:
            return reference, instances[reference]
        named = [key for key, entry in instances.items() if reference in (entry.container, entry.name)]
        if len(named) == 1:
            return named[0], instances[named[0]]
        if named:
            raise UnknownInstance(reference, f"several are named {reference!r}: use one of {', '.join(sorted(named))}")
        runs = ", ".join(sorted(instances)) or "nothing"
        raise UnknownInstance(reference, f"no instance {reference!r} runs here; what runs: {runs}")

    def side_door(self, instance_id: str, instance: Instance, *, seconds: float = 10.0) -> SideDoor:
        """Return the side door of a running instance."""
        token = wishes.internal_token(self.home, instance_id)
        return SideDoor(instance_id, instance, token, seconds=seconds)

    def start(self, orders: Sequence[Order]) -> Instances:
        """Start these instances side by side, and wait until all of them answer and have what is asked of them.

        When one fails, or the wait is interrupted, none of them is left running.

        Raises:
            RunsAlready, PortTaken: an ID that runs already, a port that is taken.
            NotStarted: a process that ended or does not answer.
        """
        starting: dict[str, _Starting] = {}
        with deferred() as ctrl_c:
            try:
                for order in orders:
                    self._begin(order, starting)
                for one in starting.values():
                    self._settle(one, ctrl_c)
            except BaseException:
                identities = [one.instance.identity for one in starting.values()]
                try:
                    processes.stop(identities)
                finally:
                    self.registry.read(ended=identities)
                raise
        return {one.id: one.instance for one in starting.values()}

    def stop(self, instance_ids: Iterable[str]) -> list[str]:
        """Stop these instances and return which ran; their memory is kept.

        Raises:
            NotPermitted: one of them belongs to another user; none was stopped.
        """
        instances = self.running()
        stopping = {key: instances[key] for key in instance_ids if key in instances}
        identities = [instance.identity for instance in stopping.values()]
        processes.require_permission(identities)
        for instance_id, instance in stopping.items():
            self.registry.mark(instance_id, instance.identity, "stopping")
        processes.stop(identities)
        self.registry.read(ended=identities)
        return [*stopping]

    def remove_memory(self, instance_id: str) -> None:
        """Remove everything that is kept of an instance that does not run.

        Raises:
            RunsAlready: it runs.
        """
        with self.registry.changing() as instances:
            _refuse_running(instance_id, instances)
            shutil.rmtree(self.home.data(instance_id))

    def sync(self, instance_id: str, instance: Instance) -> None:
        """Make what the running service has equal to what is asked: parameters, declared sessions, none beside them."""
        asked = wishes.load(self.home, instance_id)
        records = {session.record.uid: session.record for session in asked.sessions.values()}
        door = self.side_door(instance_id, instance)
        state = door.state()
        live = (state.parameters_uid, state.parameters_generation)
        if asked.parameters and live != (asked.parameters.uid, asked.parameters.generation):
            door.configure(asked.parameters)
        present = {session.uid: session.generation for session in state.declared}
        for uid in present.keys() - records.keys():
            door.undeclare(uid)
        for uid, record in records.items():
            if present.get(uid) != record.generation:
                door.declare(record)

    def wait(
        self, instance_id: str, instance: Instance, starting: _Starting | None = None, ctrl_c: CtrlC | None = None
    ) -> StateRecord:
        """Wait until the instance is ready, and return its state; a deferred `ctrl_c` is heeded.

        Its side door is asked: another program that has its port, should it have died, does not know its token.
        """
        deadline = time.monotonic() + START_SECONDS
        # One that begins accepts connections before it reads them, and Ctrl-C waits as long as a look does.
        door = self.side_door(instance_id, instance, seconds=1.0 if starting else 2.0)
        while time.monotonic() < deadline:
            if ctrl_c:
                ctrl_c.check()
            ended = starting.process.poll() is not None if starting else not processes.alive(instance.identity)
            if ended:
                raise NotStarted(f"{instance_id} did not start: {self._last_words(instance_id, starting)}")
            try:
                return door.state()
            except Transient:
                time.sleep(_POLL_SECONDS)  # still loading, busy, or another program
        raise NotStarted(f"{instance_id} did not answer within {START_SECONDS:g} s: see {self.home.log(instance_id)}")

    def _settle(self, one: _Starting, ctrl_c: CtrlC) -> None:
        """Wait for one started instance, and give it what is asked of it."""
        self.wait(one.id, one.instance, one, ctrl_c)
        self.sync(one.id, one.instance)
        self.registry.mark(one.id, one.instance.identity, "running")
        ctrl_c.check()

    def _begin(self, order: Order, starting: dict[str, _Starting]) -> None:
        """Take the ports, keep what is asked, start the process and record it, all under the registry's lock."""
        with self.registry.changing() as instances, ExitStack() as held:
            _refuse_running(order.id, instances)
            # A start that was killed between spawning and recording leaves a process that no entry names.
            processes.stop(found.identity for found in processes.discover(self.home) if found.id == order.id)
            doors = _Doors.open(order.port, instances, held)
            wishes.save(self.home, order.id, order.asked)
            starting[order.id] = self._spawn(order.id, self._environment(order, doors), doors)
            instances[order.id] = starting[order.id].instance

    def _spawn(self, instance_id: str, environment: Mapping[str, str], doors: _Doors) -> _Starting:
        """Start the process of an instance."""
        log = self.home.log(instance_id)
        begins = log.stat().st_size if log.exists() else 0
        process = processes.spawn(environment, self.home.data(instance_id), log, doors.descriptors)
        instance = Instance(
            name=environment["KATO_PROCESSOR_NAME"],
            container=child_name(instance_id),
            api_port=port_of(doors.api),
            status="starting",
            updated=now(),
            pid=process.pid,
            started=processes.started(process.pid),
            internal_port=port_of(doors.internal),
        )
        return _Starting(instance_id, instance, process, begins)

    def _environment(self, order: Order, doors: _Doors) -> dict[str, str]:
        """Return the environment of the instance's process; the file it names is written first."""
        data, parameters = self.home.data(order.id), order.asked.parameters
        own = {
            processes.MARK: order.id,
            processes.HOME_MARK: str(self.home.root),
            "KATO_PROCESSOR_ID": order.id,
            "KATO_PROCESSOR_NAME": (parameters.display_name if parameters else None) or DEFAULT_NAME,
            "KATO_NAMESPACE": "local",
            "KATO_HOST": "127.0.0.1",
            "KATO_PORT": str(port_of(doors.api)),
            "KATO_PORT_FD": str(doors.api.fileno()),
            "KATO_INTERNAL_PORT": str(port_of(doors.internal)),
            "KATO_INTERNAL_PORT_FD": str(doors.internal.fileno()),
            "KATO_INTERNAL_TOKEN": wishes.internal_token(self.home, order.id),
            "KATO_GRACE_SECONDS": "3",
            # The process shows its container name as its title; its environment must stay readable beside it.
            "SPT_NOENV": "1",
        }
        if parameters:
            write_whole(data / "parameters.json", parameters.model_dump_json())
            own["KATO_PARAMETERS_FILE"] = str(data / "parameters.json")
        if order.asked.tokens:
            own["KATO_TOKENS"] = order.asked.tokens
        own |= self._memory(order)
        return {key: value for key, value in os.environ.items() if not key.startswith("KATO_")} | own

    def _memory(self, order: Order) -> dict[str, str]:
        """Return the part of the environment that says where the memory lies.

        Raises:
            StoresIncomplete: the shared stores are asked for, and one of them does not run.
        """
        external = order.asked.stores
        if external is None:
            return {"KATO_DATA_DIR": str(self.home.data(order.id))}
        if external.shared:
            redis_url, mongodb_uri = Stores(self.home).urls()
        else:
            redis_url, mongodb_uri = external.redis_url, external.mongodb_uri
        return {"KATO_REDIS_URL": redis_url, "KATO_MONGODB_URI": mongodb_uri, "KATO_REPLICA_NAME": order.id}

    def _last_words(self, instance_id: str, starting: _Starting | None) -> str:
        """Return the last line that the process wrote since it was started."""
        with self.home.log(instance_id).open("rb") as log:
            log.seek(starting.log_begins if starting else 0)
            lines = log.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"see {self.home.log(instance_id)}")


def _refuse_running(instance_id: str, instances: Instances) -> None:
    if instance_id in instances:
        raise RunsAlready(instance_id, instances[instance_id].api_port)
