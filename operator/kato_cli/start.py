"""`kato start`: one instance on this machine, described by flags (spec: cli.md)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from kato_cli.flags import overrides, with_parameter_flags
from kato_cli.here import cluster, machine
from kato_cli.options import Output
from kato_cli.place import Cluster, on_either
from kato_cli.terminal import dump, err, notice, say
from kato_operator.local import asked as wishes
from kato_operator.local.asked import Asked, External
from kato_operator.local.machine import DEFAULT_NAME, Order
from kato_operator.local.names import default_id, sanitise
from kato_operator.local.ports import PortWish
from kato_operator.local.registry import Instance
from kato_spec.errors import Rejected
from kato_spec.records import ParametersRecord

SharedStores = Annotated[
    bool | None,
    typer.Option(
        "--stores/--no-stores",
        help="Keep the memory in the stores that `kato stores` runs, or in a SQLite of the instance's own.",
        show_default=False,
    ),
]
MongodbUri = Annotated[
    str | None, typer.Option(help="Keep the memory in this MongoDB, apart from other IDs; needs --redis-url.")
]
RedisUrl = Annotated[
    str | None, typer.Option(help="Keep the sessions in this Redis, apart from other IDs; needs --mongodb-uri.")
]
_LOCAL_ALONE = (
    "--port-range, --exact-port, --stores, --mongodb-uri and --redis-url are of this machine: on a cluster a Service "
    "has the port it asks for, and a manifest's spec.storage names the Secrets of its stores"
)


@with_parameter_flags
@on_either
def start(
    instance_id: Annotated[
        str | None, typer.Option("--id", help="The processor's ID. Default: kato-<time>-<pid>.")
    ] = None,
    name: Annotated[str | None, typer.Option(help=f"The human-readable name. Default: {DEFAULT_NAME}.")] = None,
    port: Annotated[
        int | None,
        typer.Option(help="The port wanted; when it is taken, the next free one. Default: 8000."),
    ] = None,
    port_range: Annotated[str | None, typer.Option(help="Keep to these ports, such as 8001-8010.")] = None,
    exact_port: Annotated[
        bool, typer.Option("--exact-port", help="Fail when --port is taken, and say who has it.")
    ] = False,
    stores: SharedStores = None,
    mongodb_uri: MongodbUri = None,
    redis_url: RedisUrl = None,
    there: Cluster | None = None,
    output: Output = None,
    **parameters: object,
) -> None:
    """Start one instance and wait until it answers.

    When one of the same ID was here before, its memory is found again, and whatever no flag changes stays as it was:
    name, port, parameters, tokens, declared sessions. With --kubernetes a KatoProcessor is created, or a stopped one
    woken, and waited for until it is Ready; its ID is made a DNS label.
    """
    if there:
        if exact_port or any(flag is not None for flag in (port_range, stores, mongodb_uri, redis_url)):
            raise typer.BadParameter(_LOCAL_ALONE)
        cluster().start(instance_id, name, port, overrides(parameters), there, output)
        return
    try:
        found = sanitise(instance_id) if instance_id is not None else default_id(time.time(), os.getpid())
        wish = PortWish.of(port, port_range=port_range, exact=exact_port)
    except Rejected as error:
        raise typer.BadParameter(str(error)) from error
    here = machine()
    before = wishes.load(here.home, found)
    external = _stores(before.stores, stores, mongodb_uri, redis_url)
    if port is None and port_range is None and before.port:
        wish = PortWish(before.port)
    asked = _again(before, name, overrides(parameters)).model_copy(update={"port": wish.first, "stores": external})
    if instance_id != found or not before.requested:
        asked = asked.model_copy(update={"requested": instance_id or found})
    if instance_id not in (None, found):
        notice(f"ID {instance_id!r} became {found}")
    if external != before.stores and before.parameters is not None:
        notice(f"{found} has its memory elsewhere now; `kato export` and `kato import` move what it learned")
    with err().status(f"starting {found} ..."):
        instance = here.start([Order(found, asked, wish)])[found]
    if output:
        dump({"id": found, "url": instance.url, **instance.model_dump(mode="json")}, output)
    else:
        _report(found, instance, wish)


def _report(instance_id: str, instance: Instance, wish: PortWish) -> None:
    moved = "" if instance.api_port == wish.first else f" ({wish.first} was taken)"
    port = f"{instance.api_port}{moved}"
    for key, value in {"id": instance_id, "name": instance.name, "port": port, "url": instance.url}.items():
        say(f"{key:<5} {value}")


def _stores(
    before: External | None, shared: bool | None, mongodb_uri: str | None, redis_url: str | None
) -> External | None:
    """Return where the memory is to lie; None: in the instance's own SQLite. Where no flag speaks it stays."""
    if (mongodb_uri is None) != (redis_url is None):
        raise typer.BadParameter("--mongodb-uri and --redis-url are needed together")
    if mongodb_uri is not None and redis_url is not None:
        if shared is not None:
            raise typer.BadParameter(
                "--stores and --no-stores say where the memory lies; so do --mongodb-uri and --redis-url"
            )
        return External(mongodb_uri=mongodb_uri, redis_url=redis_url)
    return before if shared is None else External(shared=True) if shared else None


def _again(before: Asked, name: str | None, parameters: Mapping[str, Any]) -> Asked:
    """Return what was asked before with what the flags change; a manifest's next apply finds what they changed."""
    old = before.parameters or ParametersRecord(uid="", generation=0)
    changed = {"display_name": name or old.display_name, "parameters": {**old.parameters, **parameters}}
    record = wishes.successor(before.parameters, old.model_copy(update=changed))
    return before.model_copy(update={"parameters": record})
