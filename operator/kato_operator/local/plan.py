"""What is to be done: wanted is compared with found, without doing anything. PURE but for the making of new uids.

Called by `reconcile`. The same wishes and the same machine give the same plan, and after it an empty one (spec:
cli.md, `kato apply`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kato_operator.local.asked import Asked, AskedSession, successor
from kato_operator.local.wanted import SESSION_LABEL, Wanted, WantedInstance, WantedSession
from kato_spec.errors import Rejected
from kato_spec.records import DeclarationRecord, ParametersRecord, StateRecord

Verdict = Literal["created", "configured", "unchanged", "pruned", "deleted"]


@dataclass(frozen=True, slots=True)
class FoundInstance:
    """What is known of one instance: what was asked of it before, whether it runs, and what it says of itself."""

    asked: Asked = field(default_factory=Asked)
    running: bool = False
    state: StateRecord | None = None


@dataclass(slots=True)
class Change:
    """What is to be done about one instance, in this order: stop, keep `asked`, remove its memory, start, sync.

    A stop comes before `asked` is kept, so that an apply that is cut short is taken up by the next one. `sync`: what
    the service has (parameters, declared sessions) is made equal to `asked` through the side door.
    """

    asked: Asked
    stop: bool = False
    delete_memory: bool = False
    start: bool = False
    sync: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """The verdict on one object, as kubectl prints it; `instance` is where it lives, `detail` may be empty."""

    label: str
    verdict: Verdict
    instance: str
    detail: str = ""

    @property
    def is_session(self) -> bool:
        """Whether the object is a KatoSession."""
        return self.label.startswith(SESSION_LABEL)

    @property
    def name(self) -> str:
        """The object's name."""
        return self.label.partition("/")[2]


@dataclass(slots=True)
class Plan:
    """Changes by instance, and the lines to print when they are done."""

    changes: dict[str, Change] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)


def plan_apply(wanted: Wanted, found: Mapping[str, FoundInstance], *, prune: bool) -> Plan:
    """Plan what makes the machine what `wanted` says; with `prune` also what is gone from the same files.

    Raises:
        Rejected: two different names would share one running instance.
    """
    plan = Plan()
    for instance in wanted.instances.values():
        _plan_instance(plan, instance, found.get(instance.id, FoundInstance()))
    for session in wanted.sessions.values():
        _plan_session(plan, session, found)
    if prune:
        for label, instance_id, session_name in _gone(wanted, found):
            _remove(plan, found, label, instance_id, session_name, "pruned")
    return plan


def plan_delete(wanted: Wanted, found: Mapping[str, FoundInstance]) -> Plan:
    """Plan what removes the objects of `wanted`; memory goes only where the manifest's deletionPolicy says Delete."""
    plan = Plan()
    for session in wanted.sessions.values():
        homes = [key for key, instance in found.items() if session.name in instance.asked.sessions]
        for instance_id in homes:
            _remove(plan, found, session.label, instance_id, session.name, "deleted")
    for instance in wanted.instances.values():
        known = found.get(instance.id)
        if known and (known.running or known.asked.parameters):
            _remove(plan, found, instance.label, instance.id, None, "deleted")
            plan.changes[instance.id].delete_memory = instance.deletes_memory
    return plan


def _plan_instance(plan: Plan, wanted: WantedInstance, found: FoundInstance) -> None:
    old = found.asked
    if found.running and old.requested and old.requested != wanted.requested:
        raise Rejected("id", wanted.requested, f"another ID: {wanted.id} is what {old.requested!r} runs as")
    new = old.model_copy(
        update={
            "source": wanted.source,
            "requested": wanted.requested,
            "port": wanted.port,
            "manifest": wanted.manifest,
            "parameters": successor(old.parameters, wanted.record),
            "tokens": wanted.tokens,
        }
    )
    change = plan.changes[wanted.id] = Change(new)
    change.stop = found.running and (wanted.suspended or old.port != new.port or old.tokens != new.tokens)
    change.start = not wanted.suspended and (change.stop or not found.running)
    runs_on = found.running and not change.stop
    change.sync = change.start or (runs_on and not _is_live(new.parameters, found.state))
    verdict: Verdict = "unchanged"
    if old.parameters is None or (change.start and not change.stop):
        verdict = "created"
    elif change.stop or change.sync or old.parameters != new.parameters:
        verdict = "configured"
    plan.lines.append(Line(wanted.label, verdict, wanted.id, "suspended, memory kept" if wanted.suspended else ""))


def _plan_session(plan: Plan, wanted: WantedSession, found: Mapping[str, FoundInstance]) -> None:
    before = found.get(wanted.processor, FoundInstance())
    change = plan.changes.setdefault(wanted.processor, Change(before.asked))
    old = before.asked.sessions.get(wanted.name)
    record = successor(old.record if old else None, wanted.record)
    new = AskedSession(source=wanted.source, manifest=dict(wanted.manifest), record=record)
    change.asked = change.asked.model_copy(update={"sessions": {**change.asked.sessions, wanted.name: new}})
    runs_on = before.running and not change.stop
    unbound = runs_on and not _is_bound(record, before.state)
    change.sync = change.sync or unbound
    verdict: Verdict = "created"
    if old:
        verdict = "configured" if unbound or old.record != record else "unchanged"
    waits = "" if runs_on or change.start else f"waits for processor {wanted.processor}"
    plan.lines.append(Line(wanted.label, verdict, wanted.processor, waits))


def _gone(wanted: Wanted, found: Mapping[str, FoundInstance]) -> Iterator[tuple[str, str, str | None]]:
    """Yield label, instance and session name of what came from these files before and is no longer in them."""
    for instance_id, instance in found.items():
        asked = instance.asked
        for name, session in asked.sessions.items():
            if session.source in wanted.sources and name not in wanted.sessions:
                yield f"{SESSION_LABEL}{name}", instance_id, name
        if asked.parameters and asked.source in wanted.sources and instance_id not in wanted.instances:
            kind = "katoprocessor.kato.dev" if asked.manifest else "instance"
            yield f"{kind}/{instance_id}", instance_id, None


def _remove(
    plan: Plan, found: Mapping[str, FoundInstance], label: str, instance_id: str, session: str | None, verdict: Verdict
) -> None:
    """Plan the end of one session, or of the instance itself when `session` is None."""
    before = found[instance_id]
    change = plan.changes.setdefault(instance_id, Change(before.asked))
    if session is None:
        change.asked = Asked(sessions=change.asked.sessions)
        change.stop, change.sync = before.running, False
        plan.lines.append(Line(label, verdict, instance_id))
        return
    left = {name: kept for name, kept in change.asked.sessions.items() if name != session}
    change.asked = change.asked.model_copy(update={"sessions": left})
    change.sync = change.sync or (before.running and not change.stop)
    plan.lines.append(Line(label, verdict, instance_id))


def _is_live(record: ParametersRecord | None, state: StateRecord | None) -> bool:
    if record is None or state is None:
        return False
    return (state.parameters_uid, state.parameters_generation) == (record.uid, record.generation)


def _is_bound(record: DeclarationRecord, state: StateRecord | None) -> bool:
    return state is not None and any(
        (live.uid, live.generation) == (record.uid, record.generation) for live in state.declared
    )
