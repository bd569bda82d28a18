"""`kato stop` and `kato restart`: instances end or begin anew, their memory stays (spec: cli.md)."""

from __future__ import annotations

from typing import Annotated

import typer

from kato_cli import stores
from kato_cli.here import chosen, cluster, machine
from kato_cli.options import References
from kato_cli.place import Cluster, on_either
from kato_cli.terminal import err, notice, say
from kato_operator.local import asked as wishes
from kato_operator.local.machine import Order
from kato_operator.local.ports import PortWish


@on_either
def stop(
    instances: References = None,
    everything: Annotated[bool, typer.Option("--all", help="Stop every instance of this machine.")] = False,
    with_stores: Annotated[
        bool | None,
        typer.Option(
            "--with-stores/--no-stores",
            "--with-mongo/--no-mongo",
            help="Stop the stores too that `kato stores` started, or leave them. Default: --all asks on a terminal, "
            "else they are left. The older names mean the same.",
            show_default=False,
        ),
    ] = None,
    there: Cluster | None = None,
) -> None:
    """Stop instances. Their memory is kept, and found again when they are started again.

    Each is asked to end, and is killed after 4 seconds; whatever it acknowledged is on disk either way. Stopping what
    is stopped already is no error. No stop ever deletes data. On a cluster a stop suspends: the pods end.
    """
    if there:
        if with_stores is not None:
            raise typer.BadParameter("--with-stores and --no-stores are of this machine")
        cluster().stop(instances or [], there, everything=everything)
        return
    here = machine()
    wanted = chosen(here, instances, everything=everything)
    with err().status("stopping ..."):
        stopped = here.stop(wanted)
    for instance_id in wanted:
        word = "stopped" if instance_id in stopped else "was stopped already"
        say(f"{instance_id} {word} (memory kept in {here.home.data(instance_id)})")
    if not wanted:
        notice("nothing runs")
    if stores.asked_too(everything) if with_stores is None else with_stores:
        stores.stop_stores()


def restart(
    instances: References = None,
    everything: Annotated[bool, typer.Option("--all", help="Restart every instance that runs.")] = False,
) -> None:
    """Stop instances and start them again as they are.

    Port, name, parameters, sessions and memory stay. One that is stopped is started. Where its port was taken
    meanwhile, the next free one is used and said.
    """
    here = machine()
    wanted = chosen(here, instances, everything=everything)
    running = here.running()
    orders = []
    for instance_id in wanted:
        asked = wishes.load(here.home, instance_id)
        port = running[instance_id].api_port if instance_id in running else asked.port
        orders.append(Order(instance_id, asked, PortWish(port) if port else PortWish()))
    with err().status("restarting ..."):
        here.stop(wanted)
        started = here.start(orders)
    for order in orders:
        instance = started[order.id]
        moved = "" if instance.api_port == order.port.first else f", {order.port.first} was taken"
        word = "restarted" if order.id in running else "started"
        say(f"{order.id} {word} ({instance.url}{moved})")
    if not wanted:
        notice("nothing runs")
