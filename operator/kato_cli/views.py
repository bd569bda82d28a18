"""How instances look: as values for programs, as rows of a table for people (spec: cli.md, `kato list`).

Called by `listing`, `watching` and `status`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kato_cli.terminal import age, shown
from kato_operator.local import asked as wishes
from kato_operator.local.machine import DEFAULT_NAME, Machine
from kato_operator.local.registry import Instance
from kato_spec.errors import Transient
from kato_spec.keys import child_name
from kato_spec.records import StateRecord

_ANSWER_SECONDS = 5.0
_COLUMNS = {
    "ID": "id",
    "NAME": "name",
    "STATUS": "status",
    "PORT": "api_port",
    "SESSIONS": "sessions",
    "PATTERNS": "patterns",
    "PID": "pid",
    "AGE": "age_seconds",
}
_WIDE = {"URL": "url", "CONTAINER": "container", "INTERNAL": "internal_port"}
View = dict[str, Any]


def views(here: Machine) -> list[View]:
    """Return every instance that runs, by ID; all are asked at the same time."""
    instances = here.running()
    ids = sorted(instances)
    with ThreadPoolExecutor(max_workers=8) as pool:
        states = pool.map(lambda key: _state(here, key, instances[key]), ids)
    return [_view(key, instances[key], state) for key, state in zip(ids, states, strict=True)]


def detailed(here: Machine, instance_id: str) -> View:
    """Return everything about one instance that runs, or ran here before."""
    entry = here.running().get(instance_id)
    asked = wishes.load(here.home, instance_id)
    state = _state(here, instance_id, entry) if entry else None
    declared = {one.uid: one.session_id for one in state.declared} if state else {}
    name = (asked.parameters.display_name if asked.parameters else None) or DEFAULT_NAME
    stopped = {"id": instance_id, "name": name, "container": child_name(instance_id), "status": "stopped"}
    return {
        **(_view(instance_id, entry, state) if entry else stopped),
        "parameters": dict(asked.parameters.parameters) if asked.parameters else {},
        "declared_sessions": {key: declared.get(one.record.uid) for key, one in asked.sessions.items()},
        "source": asked.source or "kato start",
        "data": str(here.home.data(instance_id)),
        "log": str(here.home.log(instance_id)),
    }


def head(*, wide: bool) -> list[str]:
    """Return the titles of the table's columns."""
    return [*_COLUMNS, *(_WIDE if wide else ())]


def row(view: View, *, wide: bool) -> Sequence[str]:
    """Return one instance as a row of the table."""
    keys = [*_COLUMNS.values(), *(_WIDE.values() if wide else ())]
    return [age(view[key]) if key == "age_seconds" else shown(view[key]) for key in keys]


def told(view: View) -> View:
    """Return an instance's facts for people: its age says when it started."""
    facts = {"age" if key == "age_seconds" else key: value for key, value in view.items() if key != "started"}
    return facts | ({"age": age(facts["age"])} if "age" in facts else {})


def _view(instance_id: str, instance: Instance, state: StateRecord | None) -> View:
    """Return everything that is listed of one instance; `state` is None when it does not answer."""
    standing = instance.status if state is None else "running"
    return {
        "id": instance_id,
        **instance.model_dump(mode="json"),
        "status": "not answering" if state is None and standing == "running" else standing,
        "sessions": None if state is None else state.active_sessions,
        "patterns": None if state is None else state.patterns,
        "url": instance.url,
        "age_seconds": round(time.time() - instance.started),
    }


def _state(here: Machine, instance_id: str, instance: Instance) -> StateRecord | None:
    try:
        return here.side_door(instance_id, instance, seconds=_ANSWER_SECONDS).state()
    except Transient:
        return None  # shown as "not answering"
