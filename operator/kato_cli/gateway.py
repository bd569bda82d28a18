"""`kato gateway`: one port in front of every instance of this machine (spec: cli.md, `kato gateway`)."""

from __future__ import annotations

from typing import Annotated

import typer

from kato_cli.terminal import notice, say
from kato_operator.local.home import Home
from kato_operator.local.ports import API_PORT, PORT_MAX


def gateway(
    port: Annotated[int, typer.Option(min=0, max=PORT_MAX, help="The port; 0 takes any free one.")] = API_PORT,
    host: Annotated[
        str, typer.Option(help="The address; 0.0.0.0 opens the instances to the network, without any guard but theirs.")
    ] = "127.0.0.1",
) -> None:
    """Run one port in front of all instances.

    It runs in the foreground until SIGTERM or Ctrl-C. /first/observe reaches the instance `first`, and so on:
    requests, streams and WebSockets. Instances that start or stop meanwhile are known at once. / lists them.
    """
    try:
        from kato_operator.local.gateway import run  # noqa: PLC0415 - the proxy's library, for this command alone
        from kato_operator.local.whereabouts import Whereabouts  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        notice(f"the gateway needs {error.name}, which is not installed: pip install 'kato-operator[gateway]'")
        raise typer.Exit(1) from error

    def ready(address: str) -> None:
        say(f"{address}/ID/... reaches the instance ID; {address}/ lists them; Ctrl-C ends it")

    run(Whereabouts(Home.from_environment(), notice), host, port, ready)
