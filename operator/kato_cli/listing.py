"""`kato list`, `kato status` and `kato logs`: what runs here, and how it is (spec: cli.md)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from kato_cli.here import machine
from kato_cli.options import Output, Reference
from kato_cli.terminal import columns, dump, notice, say
from kato_operator.local import asked as wishes
from kato_operator.local.machine import Machine, UnknownInstance
from kato_operator.local.registry import Instance
from kato_spec.errors import Transient
from kato_spec.records import StateRecord

_ANSWER_SECONDS = 2.0
_FOLLOW_SECONDS = 0.2
ListForm = Literal["wide", "json", "yaml", "name"]


def list_instances(
    output: Annotated[
        ListForm | None,
        typer.Option(
            "--output", "-o", help="wide adds columns; json and yaml are for programs; name prints IDs alone."
        ),
    ] = None,
) -> None:
    """List the instances that run on this machine.

    A registry that is missing or damaged is rebuilt from the running processes; what is gone is dropped.
    """
    here = machine()
    instances = here.running()
    if output == "name":
        for instance_id in sorted(instances):
            say(instance_id)
        return
    with ThreadPoolExecutor(max_workers=8) as pool:
        states = pool.map(lambda key: _state(here, key, instances[key]), sorted(instances))
    views = [_view(key, instances[key], state) for key, state in zip(sorted(instances), states, strict=True)]
    if output in ("json", "yaml"):
        dump({"instances": {view.pop("id"): view for view in views}}, output)
    elif not views:
        notice("nothing runs: `kato start` or `kato apply -f FILE` starts an instance")
    else:
        _table(views, wide=output == "wide")


def status(instance: Reference, output: Output = None) -> None:
    """Show one instance: its address, memory and configuration."""
    here = machine()
    instance_id, entry = here.find(instance)
    state = _state(here, instance_id, entry)
    asked = wishes.load(here.home, instance_id)
    declared = {one.uid: one.session_id for one in state.declared} if state else {}
    view = _view(instance_id, entry, state)
    view["parameters"] = asked.parameters.parameters if asked.parameters else {}
    view["declared_sessions"] = {name: declared.get(one.record.uid) for name, one in asked.sessions.items()}
    view["source"] = asked.source or "kato start"
    view["data"] = str(here.home.data(instance_id))
    view["log"] = str(here.home.log(instance_id))
    if output:
        dump(view, output)
        return
    for key, value in view.items():
        say(f"{key.replace('_', ' '):<18} {_shown(value)}")


def logs(
    instance: Annotated[str, typer.Argument(metavar="ID", help="An instance, running or not.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing until Ctrl-C.")] = False,
    tail: Annotated[int | None, typer.Option(min=0, help="Begin with the last so many lines.")] = None,
) -> None:
    """Print what an instance wrote."""
    here = machine()
    log = here.home.log(instance if here.home.known(instance) else here.find(instance)[0])
    if not log.exists():
        raise UnknownInstance(instance, f"{instance} has never been started here")
    read = _print_log(log, 0, tail)
    while follow:
        time.sleep(_FOLLOW_SECONDS)
        read = _print_log(log, read, None)


def _view(instance_id: str, instance: Instance, state: StateRecord | None) -> dict[str, Any]:
    """Return everything that is shown of one instance; `state` is None when it does not answer."""
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
        with here.side_door(instance_id, instance, seconds=_ANSWER_SECONDS) as door:
            return door.state()
    except Transient:
        return None  # shown as "not answering"


def _table(views: list[dict[str, Any]], *, wide: bool) -> None:
    keys = ["id", "name", "status", "api_port", "sessions", "patterns", "pid", "age_seconds"]
    head = ["ID", "NAME", "STATUS", "PORT", "SESSIONS", "PATTERNS", "PID", "AGE"]
    if wide:
        keys += ["url", "container", "internal_port"]
        head += ["URL", "CONTAINER", "INTERNAL"]
    rows = [[age(view[key]) if key == "age_seconds" else _shown(view[key]) for key in keys] for view in views]
    columns(head, rows)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={inner}" for key, inner in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)


def age(seconds: int) -> str:
    """Write an age as kubectl does: the two largest units, the smaller one only while it matters."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 120:
        return f"{minutes}m"
    return f"{hours}h" if hours < 48 else f"{days}d"


def _print_log(log: Path, begin: int, tail: int | None) -> int:
    """Print the log from byte `begin` on, or its last lines; return where it ended. A log that shrank begins anew."""
    with log.open("rb") as file:
        file.seek(begin if begin <= log.stat().st_size else 0)
        lines = file.read().decode(errors="replace").splitlines()
        for line in lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]:
            say(line)
        return file.tell()
