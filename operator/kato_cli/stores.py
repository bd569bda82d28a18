"""`kato stores start|stop|status`: the Redis and the mongod that kato runs on this machine (spec: cli.md)."""

from __future__ import annotations

import sys

import typer

from kato_cli.commands import examples, group
from kato_cli.options import Output
from kato_cli.terminal import columns, dump, err, notice, say, shown
from kato_operator.local.home import Home
from kato_operator.local.stores import Stores, listed


def start() -> None:
    """Start a Redis and, where the machine has one, a mongod.

    `kato start --stores` uses them. What runs already is left alone. Where the usual port is taken, the next free one
    is used. Both listen on this machine alone and keep their data over stops.
    """
    stores = Stores(Home.from_environment())
    before = stores.running()
    with err().status("starting the stores ..."):
        running, missing = stores.start()
    for name, store in running.items():
        say(f"{name} {'runs already' if name in before else 'started'} ({store.url})")
    for name in missing:
        notice(
            f"no {name} on this machine: left out. `kato start --stores` needs both; --mongodb-uri and --redis-url "
            "name stores elsewhere"
        )


def stop() -> None:
    """Stop the stores that kato started; their data is kept."""
    stop_stores()


def status(output: Output = None) -> None:
    """Show the stores: whether they run, where, and where their data lies."""
    found = listed(Stores(Home.from_environment()))
    if output:
        dump({"stores": [dict(one) for one in found]}, output)
        return
    keys = ("name", "status", "port", "pid", "url", "data")
    columns(["STORE", "STATUS", "PORT", "PID", "URL", "DATA"], [[shown(one[key]) for key in keys] for one in found])


def stop_stores() -> None:
    """Stop what runs, and say so."""
    stores = Stores(Home.from_environment())
    with err().status("stopping the stores ..."):
        stopped = stores.stop()
    for name in stopped:
        say(f"{name} stopped (data kept in {stores.data(name)})")
    if not stopped:
        notice("no store of kato's runs")


def asked_too(everything: bool) -> bool:
    """Ask on a terminal whether the stores shall stop with the last instance; elsewhere they stay."""
    running = Stores(Home.from_environment()).running() if everything and sys.stdin.isatty() else {}
    return bool(running) and typer.confirm(f"Stop the stores too ({', '.join(running)})? Their data is kept.", err=True)


GROUP = group(
    "stores",
    "Run a Redis and a mongod of kato's own.",
    "kato stores start",
    "kato stores status",
    "kato stop --all --with-stores",
)
GROUP.command(epilog=examples("kato stores start"))(start)
GROUP.command(epilog=examples("kato stores stop"))(stop)
GROUP.command(epilog=examples("kato stores status", "kato stores status -o json"))(status)
