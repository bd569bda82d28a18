"""The planner is pure: wishes and observations go in, changes and verdicts come out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kato_operator.local.asked import Asked
from kato_operator.local.plan import FoundInstance, Plan, plan_apply, plan_delete
from kato_operator.local.wanted import Wanted, WantedInstance, WantedSession
from kato_spec.errors import Rejected
from kato_spec.records import DeclarationRecord, DeclaredSession, ParametersRecord, StateRecord

BROAD = WantedInstance(
    id="broad",
    label="katoprocessor.kato.dev/broad",
    place="f.yaml:4",
    source="f.yaml",
    requested="broad",
    record=ParametersRecord(uid="", generation=0, parameters={"recall_threshold": 0.1}),
    port=8000,
    manifest={},
)
READER = WantedSession(
    name="reader",
    label="katosession.kato.dev/reader",
    place="f.yaml:9",
    source="f.yaml",
    processor="broad",
    manifest={},
    record=DeclarationRecord(uid="", generation=0, name="reader", user_id="me"),
)


def wish(*objects: WantedInstance | WantedSession) -> Wanted:
    return Wanted(
        sources=frozenset({"f.yaml"}),
        instances={one.id: one for one in objects if isinstance(one, WantedInstance)},
        sessions={one.name: one for one in objects if isinstance(one, WantedSession)},
    )


def after(plan: Plan, *, running: bool = True) -> dict[str, FoundInstance]:
    """What would be found when the plan has been carried out."""
    return {key: FoundInstance(change.asked, running, live(change.asked)) for key, change in plan.changes.items()}


def live(asked: Asked) -> StateRecord:
    parameters = asked.parameters
    return StateRecord(
        processor_id="broad",
        parameters_uid=parameters and parameters.uid,
        parameters_generation=parameters and parameters.generation,
        patterns=0,
        active_sessions=0,
        declared=[
            DeclaredSession(uid=one.record.uid, generation=one.record.generation, session_id="x", phase="Active")
            for one in asked.sessions.values()
        ],
    )


def verdicts(plan: Plan) -> dict[str, str]:
    return {line.label.partition("/")[2]: line.verdict for line in plan.lines}


def applied(*objects: WantedInstance | WantedSession) -> dict[str, FoundInstance]:
    return after(plan_apply(wish(*objects), {}, prune=False))


def test_what_is_new_is_started_with_a_first_generation() -> None:
    plan = plan_apply(wish(BROAD, READER), {}, prune=False)
    change = plan.changes["broad"]
    assert verdicts(plan) == {"broad": "created", "reader": "created"}
    assert (change.start, change.stop) == (True, False)
    assert change.asked.parameters is not None
    assert change.asked.parameters.generation == 1
    assert change.asked.parameters.uid != change.asked.sessions["reader"].record.uid != ""


def test_the_same_again_changes_nothing() -> None:
    found = applied(BROAD, READER)
    plan = plan_apply(wish(BROAD, READER), found, prune=True)
    assert verdicts(plan) == {"broad": "unchanged", "reader": "unchanged"}
    change = plan.changes["broad"]
    assert (change.stop, change.start, change.sync, change.delete_memory) == (False, False, False, False)
    assert change.asked == found["broad"].asked


def test_changed_parameters_go_live_without_a_restart() -> None:
    found = applied(BROAD, READER)
    other = replace(BROAD, record=BROAD.record.model_copy(update={"parameters": {"recall_threshold": 0.5}}))
    plan = plan_apply(wish(other, READER), found, prune=False)
    change, before = plan.changes["broad"], found["broad"].asked.parameters
    assert verdicts(plan) == {"broad": "configured", "reader": "unchanged"}
    assert (change.stop, change.start, change.sync) == (False, False, True)
    assert change.asked.parameters is not None
    assert before is not None
    assert (change.asked.parameters.uid, change.asked.parameters.generation) == (before.uid, 2)


def test_an_apply_that_was_cut_short_is_taken_up() -> None:
    found = applied(BROAD, READER)
    stale = live(Asked())
    plan = plan_apply(wish(BROAD, READER), {"broad": replace(found["broad"], state=stale)}, prune=False)
    assert verdicts(plan) == {"broad": "configured", "reader": "configured"}
    assert plan.changes["broad"].sync
    assert plan.changes["broad"].asked == found["broad"].asked


@pytest.mark.parametrize("update", [{"port": 8100}, {"tokens": "a"}])
def test_what_a_process_takes_only_at_its_start_restarts_it(update: dict[str, object]) -> None:
    plan = plan_apply(wish(replace(BROAD, **update)), applied(BROAD), prune=False)  # type: ignore[arg-type] # by name
    assert (plan.changes["broad"].stop, plan.changes["broad"].start) == (True, True)
    assert verdicts(plan) == {"broad": "configured"}


def test_an_instance_that_ended_is_created_again_with_its_sessions_unchanged() -> None:
    ended = {key: replace(one, running=False, state=None) for key, one in applied(BROAD, READER).items()}
    plan = plan_apply(wish(BROAD, READER), ended, prune=False)
    assert verdicts(plan) == {"broad": "created", "reader": "unchanged"}
    assert plan.changes["broad"].start


def test_suspending_and_resuming() -> None:
    plan = plan_apply(wish(replace(BROAD, suspended=True)), applied(BROAD), prune=False)
    assert (plan.changes["broad"].stop, plan.changes["broad"].start) == (True, False)
    assert plan.lines[0].detail == "suspended, memory kept"
    suspended = {key: replace(one, running=False, state=None) for key, one in after(plan).items()}
    again = plan_apply(wish(replace(BROAD, suspended=True)), suspended, prune=False)
    assert verdicts(again) == {"broad": "unchanged"}
    assert plan_apply(wish(BROAD), suspended, prune=False).changes["broad"].start


def test_a_session_waits_for_its_processor() -> None:
    plan = plan_apply(wish(READER), {}, prune=False)
    assert (plan.lines[0].verdict, plan.lines[0].detail) == ("created", "waits for processor broad")
    waiting = after(plan, running=False)
    assert not plan.changes["broad"].start
    assert verdicts(plan_apply(wish(READER), waiting, prune=False)) == {"reader": "unchanged"}
    bound = plan_apply(wish(BROAD, READER), waiting, prune=False)
    assert verdicts(bound) == {"broad": "created", "reader": "unchanged"}
    assert "reader" in bound.changes["broad"].asked.sessions


def test_a_session_that_the_service_lost_is_declared_again() -> None:
    found = applied(BROAD, READER)
    state = found["broad"].state
    assert state is not None
    lost = {"broad": replace(found["broad"], state=state.model_copy(update={"declared": []}))}
    plan = plan_apply(wish(BROAD, READER), lost, prune=False)
    assert verdicts(plan) == {"broad": "unchanged", "reader": "configured"}
    assert plan.changes["broad"].sync


def test_prune_takes_only_what_came_from_the_same_file() -> None:
    found = applied(BROAD, READER)
    elsewhere = after(plan_apply(wish(replace(BROAD, id="other", source="g.yaml")), {}, prune=False))
    by_hand = {"hand": FoundInstance(Asked(requested="hand", parameters=BROAD.record), running=True)}
    everything = found | elsewhere | by_hand
    assert verdicts(plan_apply(wish(), everything, prune=False)) == {}
    plan = plan_apply(wish(), everything, prune=True)
    assert verdicts(plan) == {"reader": "pruned", "broad": "pruned"}
    assert [key for key, change in plan.changes.items() if change.stop] == ["broad"]
    assert not plan.changes["broad"].delete_memory
    only_session = plan_apply(wish(BROAD), found, prune=True)
    assert verdicts(only_session) == {"broad": "unchanged", "reader": "pruned"}
    assert only_session.changes["broad"].sync
    assert after(plan)["broad"].asked.sessions == {}


def test_delete_keeps_the_memory_unless_the_manifest_says_otherwise() -> None:
    found = applied(BROAD, READER)
    plan = plan_delete(wish(BROAD, READER), found)
    assert verdicts(plan) == {"reader": "deleted", "broad": "deleted"}
    assert (plan.changes["broad"].stop, plan.changes["broad"].delete_memory) == (True, False)
    assert plan_delete(wish(replace(BROAD, deletes_memory=True)), found).changes["broad"].delete_memory
    gone = {key: replace(one, running=False, state=None) for key, one in after(plan).items()}
    assert plan_delete(wish(BROAD, READER), gone).lines == []


def test_two_names_never_share_a_running_instance() -> None:
    found = applied(replace(BROAD, requested="Broad!"))
    with pytest.raises(Rejected, match=r"another ID: broad is what 'Broad!' runs as"):
        plan_apply(wish(BROAD), found, prune=False)
