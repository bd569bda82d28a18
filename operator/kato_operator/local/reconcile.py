"""The story of an apply on this machine: read, look, plan, do, report. Idempotent, as on a cluster.

Called by `kato apply`, `kato delete` and `kato demo` (spec: cli.md). One apply runs at a time for a home.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from filelock import FileLock, Timeout

from kato_operator.local import asked as wishes
from kato_operator.local.asked import Asked
from kato_operator.local.files import read
from kato_operator.local.machine import Machine, NotStarted, Order
from kato_operator.local.plan import Change, FoundInstance, Line, Plan, plan_apply, plan_delete
from kato_operator.local.ports import PortWish
from kato_operator.local.processes import alive
from kato_operator.local.registry import Instance, Instances
from kato_operator.local.wanted import Known, Wanted, wanted
from kato_spec.errors import Transient
from kato_spec.records import StateRecord

_TURN_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class BoundSession:
    """A declared session as it stands: where it lives, whose it is, and its ID once the service has made it."""

    instance: str
    user_id: str
    session_id: str | None
    phase: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the files: a verdict per object, what has no effect here, what runs now, the sessions by name."""

    lines: list[Line]
    notes: list[str]
    instances: Instances
    sessions: dict[str, BoundSession]

    @property
    def processors(self) -> list[str]:
        """The IDs of the files' instances that run, in the files' order."""
        return [line.instance for line in self.lines if not line.is_session and line.instance in self.instances]


def apply(machine: Machine, arguments: Sequence[str], *, prune: bool = False) -> Outcome:
    """Bring the machine to what the files say.

    Raises:
        InvalidFiles: with every problem of every document; nothing was started or changed.
        Rejected, Transient: what was done until then stands; the same apply goes on from there.
    """
    return _reconcile(machine, arguments, lambda wish, found: plan_apply(wish, found, prune=prune))


def delete(machine: Machine, arguments: Sequence[str]) -> Outcome:
    """Remove from the machine what the files name. Raises as `apply` does."""
    return _reconcile(machine, arguments, plan_delete)


def _reconcile(
    machine: Machine, arguments: Sequence[str], planner: Callable[[Wanted, Mapping[str, FoundInstance]], Plan]
) -> Outcome:
    # Read before the turn is taken: standard input may keep us waiting.
    documents, problems = read(arguments)
    with _turn(machine):
        # 1. What is wanted: every document checked before anything is touched.
        kept = dict(wishes.every(machine.home))
        wish = wanted(documents, problems, _known(kept))
        # 2. What there is.
        found = _observe(machine, wish, kept)
        # 3. What is to be done, decided without doing anything.
        plan = planner(wish, found)
        # 4. Do it.
        _perform(machine, plan.changes, found)
        # 5. Look again, and report.
        instances = machine.running()
        return Outcome(plan.lines, wish.notes, instances, dict(_sessions(machine, plan.lines, instances)))


def _observe(machine: Machine, wish: Wanted, kept: Mapping[str, Asked]) -> dict[str, FoundInstance]:
    """Look at every instance that runs or was ever asked for; those that the files are about are asked themselves.

    Raises:
        Transient: one of these runs and does not answer.
    """
    running, found = machine.running(), {}
    for instance_id in sorted({*kept, *running}):
        asked, instance = kept.get(instance_id, Asked()), running.get(instance_id)
        found[instance_id] = FoundInstance(asked, running=instance is not None)
        if instance and _concerns(wish, instance_id, asked):
            state = _state(machine, instance_id, instance)
            found[instance_id] = FoundInstance(asked, running=state is not None, state=state)
    return found


def _state(machine: Machine, instance_id: str, instance: Instance) -> StateRecord | None:
    """Return what the instance says, or None when its process ended, as one does that could not start."""
    try:
        return machine.wait(instance_id, instance)
    except NotStarted:
        if alive(instance.identity):
            raise
        return None


def _concerns(wish: Wanted, instance_id: str, asked: Asked) -> bool:
    """Say whether the files are about this instance, by what they name or by what they named before."""
    named = {*wish.instances, *(session.processor for session in wish.sessions.values())}
    sources = {asked.source, *(session.source for session in asked.sessions.values())}
    return (
        instance_id in named
        or not wish.sources.isdisjoint(sources)
        or not wish.sessions.keys().isdisjoint(asked.sessions)
    )


def _perform(machine: Machine, changes: Mapping[str, Change], found: Mapping[str, FoundInstance]) -> None:
    """Do what is planned: stop, keep what is asked, remove memory, start, sync."""
    machine.stop(key for key, change in changes.items() if change.stop)
    for instance_id, change in changes.items():
        if instance_id not in found or change.asked != found[instance_id].asked:
            wishes.save(machine.home, instance_id, change.asked)
        if change.delete_memory:
            machine.remove_memory(instance_id)
    machine.start(
        [Order(key, change.asked, PortWish(change.asked.port)) for key, change in changes.items() if change.start]
    )
    for instance_id, change in changes.items():
        if change.sync and not change.start:
            machine.sync(*machine.find(instance_id))


def _sessions(machine: Machine, lines: Sequence[Line], instances: Instances) -> Iterator[tuple[str, BoundSession]]:
    """Yield name and standing of every declared session of the lines' instances that run."""
    for instance_id in dict.fromkeys(line.instance for line in lines if line.is_session and line.instance in instances):
        state = machine.side_door(instance_id, instances[instance_id]).state()
        declared = {one.uid: one for one in state.declared}
        for name, session in wishes.load(machine.home, instance_id).sessions.items():
            found = declared.get(session.record.uid)
            if found:
                yield name, BoundSession(instance_id, session.record.user_id, found.session_id, found.phase)


def _known(kept: Mapping[str, Asked]) -> Known:
    return Known(
        processors={key: asked.manifest for key, asked in kept.items() if asked.manifest},
        sessions={name: session.manifest for asked in kept.values() for name, session in asked.sessions.items()},
    )


@contextmanager
def _turn(machine: Machine) -> Iterator[None]:
    machine.home.prepare()
    try:
        with FileLock(machine.home.apply_lock, timeout=_TURN_SECONDS):
            yield
    except Timeout as error:
        raise Transient(f"another kato apply has gone on for {_TURN_SECONDS:g} s: try again when it is done") from error
