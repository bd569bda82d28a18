"""`kato sessions` and `kato session new|get|rm`: the sessions of an instance (spec: cli.md, service.md "Sessions")."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from kato_cli.commands import examples, group
from kato_cli.flags import overrides, with_parameter_flags
from kato_cli.here import client
from kato_cli.options import ListForm, Output, Reference, pairs
from kato_cli.place import Cluster, on_either
from kato_cli.terminal import age, columns, dump, facts, notice, say
from kato_client.answers import Session

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="A session's ID.")]
User = Annotated[str, typer.Option("--user", "-u", help="Whose session it is: sessions of one user share a memory.")]


@on_either
def sessions(
    instance: Reference,
    user: Annotated[str | None, typer.Option("--user", "-u", help="Only those of this user.")] = None,
    there: Cluster | None = None,
    output: Annotated[
        ListForm | None,
        typer.Option("--output", "-o", help="wide adds columns; json and yaml are for programs; name prints IDs."),
    ] = None,
) -> None:
    """List the sessions of an instance, newest first."""
    instance_id, kato = client(instance, there)
    with kato:
        found = list(kato.sessions(user))
    if output in ("json", "yaml"):
        dump({"sessions": found}, output)
    elif output == "name":
        for one in found:
            say(one["session_id"])
    elif not found:
        notice(f"{instance_id} has no session{f' of {user}' if user else ''}: `kato session new` makes one")
    else:
        _table(found, wide=output == "wide")


@with_parameter_flags
@on_either
def new(
    instance: Reference,
    user: User,
    ttl: Annotated[int | None, typer.Option(min=1, help="Seconds it lives without activity.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Kept with the session, such as team=red.")
    ] = None,
    there: Cluster | None = None,
    output: Output = None,
    **parameters: object,
) -> None:
    """Make a session and print its ID.

    Whatever no flag sets it takes from the processor, also when that changes later.
    """
    config = overrides(parameters)
    kept = dict(pairs("--metadata", metadata))
    _, kato = client(instance, there)
    with kato:
        session = kato.create_session(user, ttl_seconds=ttl, metadata=kept or None, config=config or None)
    if output:
        dump(session, output)
    else:
        say(session["session_id"])


@on_either
def get(
    instance: Reference,
    session: SessionId,
    there: Cluster | None = None,
    output: Output = None,
) -> None:
    """Show one session with every parameter as it holds for it."""
    _, kato = client(instance, there)
    with kato:
        found = kato.session(session)
    if output:
        dump(found, output)
    else:
        config = {key: value for key, value in found["session_config"].items() if value is not None}
        facts({key: value for key, value in {**found, "session_config": config}.items() if key != "node_id"})


@on_either
def remove(
    instance: Reference,
    sessions: Annotated[list[str], typer.Argument(metavar="SESSION...", help="Sessions to end.")],
    there: Cluster | None = None,
) -> None:
    """End sessions; what they learned stays."""
    _, kato = client(instance, there)
    with kato:
        for one in sessions:
            kato.delete_session(one)
            say(f"{one} removed")


def _table(found: list[Session], *, wide: bool) -> None:
    now = datetime.now(UTC)
    head = ["SESSION", "USER", "STM", "EXPIRES", "AGE"] + (["TTL", "METADATA"] if wide else [])
    rows = []
    for one in found:
        values: dict[str, Any] = dict(one)
        left = round((datetime.fromisoformat(one["expires_at"]) - now).total_seconds())
        old = round((now - datetime.fromisoformat(one["created_at"])).total_seconds())
        row = [one["session_id"], one["user_id"], str(values.get("stm_length", "-")), age(max(left, 0)), age(old)]
        extra = [f"{one['ttl_seconds']}s", ", ".join(f"{key}={value}" for key, value in one["metadata"].items()) or "-"]
        rows.append(row + (extra if wide else []))
    columns(head, rows)


GROUP = group(
    "session",
    "Make, show and end sessions of an instance.",
    "kato session new first --user me",
    "kato sessions first",
)
GROUP.command(epilog=examples("kato session new first --user me --recall-threshold 0.4"))(new)
GROUP.command(epilog=examples("kato session get first SESSION", "kato session get first SESSION -o json"))(get)
GROUP.command("rm", epilog=examples("kato session rm first SESSION"))(remove)
