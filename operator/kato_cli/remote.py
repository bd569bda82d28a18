"""The commands' other side: KatoProcessors of the cluster that the user's kubeconfig names (spec: cli.md).

Called by the commands when they get --kubernetes, as they all do when run as `kubectl kato`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

from kato_cli.place import Cluster
from kato_cli.terminal import age, columns, dump, err, facts, notice, say, shown
from kato_client import KatoClient
from kato_operator.desired.kinds import Manifest
from kato_operator.local.names import default_id
from kato_operator.remote.kubeconfig import connect
from kato_operator.remote.names import label
from kato_operator.remote.processors import Processors, condition
from kato_spec.parameters import Parameters

_HEAD = ["NAME", "DISPLAY NAME", "READY", "REPLICAS", "STORAGE", "SESSIONS", "PATTERNS", "ENDPOINT", "AGE"]


def processors(cluster: Cluster) -> Processors:
    """Return the processors of the cluster's namespace."""
    return Processors(connect(cluster.namespace, cluster.context, cluster.kubeconfig))


def client(reference: str, cluster: Cluster, timeout: float) -> tuple[str, KatoClient]:
    """Return the name of the processor that `reference` means, and a client of its API by the API server's proxy."""
    with processors(cluster) as there:
        found = there.find(reference)
        connection = there.connection
        token = connection.authorization.removeprefix("Bearer ") or None
        return found["metadata"]["name"], KatoClient(
            there.api(found), token=token, timeout=timeout, verify=connection.tls
        )


def start(
    instance_id: str | None,
    name: str | None,
    port: int | None,
    parameters: Mapping[str, Any],
    cluster: Cluster,
    output: str | None,
) -> None:
    """Create a KatoProcessor, or wake one that was stopped, and wait until it is Ready."""
    raw = instance_id if instance_id is not None else default_id(time.time(), os.getpid())
    found = label(raw)
    if found != raw:
        notice(f"ID {raw!r} became {found}")
    spec: dict[str, Any] = {"displayName": name, "port": port}
    if parameters:
        spec["parameters"] = {str(Parameters.model_fields[key].alias): value for key, value in parameters.items()}
    spec = {key: value for key, value in spec.items() if value is not None}
    with processors(cluster) as there, err().status(f"starting {found} ...") as status:
        there.start(found, spec, {} if found == raw else {"displayName": raw})
        ready = there.wait(found, lambda words: status.update(f"starting {found}: {words}"))
    if output:
        dump(ready, output)
        return
    for key, value in {
        "id": found,
        "name": ready["spec"].get("displayName"),
        "port": ready["spec"].get("port"),
        "url": ready.get("status", {}).get("endpoint"),
    }.items():
        say(f"{key:<5} {shown(value)}")


def listing(cluster: Cluster, output: str | None) -> None:
    """List the KatoProcessors of the namespace."""
    with processors(cluster) as there:
        found = there.listing()
    if output == "name":
        for one in found:
            say(one["metadata"]["name"])
    elif output in ("json", "yaml"):
        dump({"instances": {one["metadata"]["name"]: one for one in found}}, str(output))
    elif not found:
        notice(f"no KatoProcessor in namespace {there.connection.namespace}: `kato start --kubernetes` makes one")
    else:
        columns(_HEAD, [_row(one) for one in found])


def stop(references: Sequence[str], cluster: Cluster, *, everything: bool) -> None:
    """Suspend KatoProcessors: their pods end, memory and sessions stay."""
    if bool(references) == everything:
        raise typer.BadParameter("name the instances, or give --all")
    with processors(cluster) as there:
        found = there.listing() if everything else [there.find(one) for one in references]
        for one in found:
            name = one["metadata"]["name"]
            there.suspend(name)
            say(f"{name} {'was stopped already' if one['spec'].get('suspend') else 'stopped'} (suspended, memory kept)")
    if not found:
        notice(f"no KatoProcessor in namespace {there.connection.namespace}")


def status(reference: str, cluster: Cluster, output: str | None) -> None:
    """Show one KatoProcessor."""
    with processors(cluster) as there:
        found = there.find(reference)
    if output:
        dump(found, output)
        return
    state = {key: value for key, value in found.get("status", {}).items() if key != "conditions"}
    facts({"id": found["metadata"]["name"], "name": found["spec"].get("displayName"), **state})
    facts({"parameters": found["spec"].get("parameters", {})})
    for one in found.get("status", {}).get("conditions", []):
        say(f"{one['type']:<18} {one['status']} {one.get('reason', '')} {one.get('message', '')}".rstrip())


def logs(reference: str, cluster: Cluster, *, follow: bool, tail: int | None) -> None:
    """Print the logs of a KatoProcessor's pods."""
    with processors(cluster) as there:
        for line in there.logs(there.find(reference)["metadata"]["name"], follow=follow, tail=tail):
            say(line)


def _row(found: Manifest) -> Sequence[str]:
    state = found.get("status", {})
    born = datetime.fromisoformat(found["metadata"]["creationTimestamp"])
    storage = state.get("storage")
    values = (
        found["metadata"]["name"],
        found["spec"].get("displayName"),
        condition(found, "Ready").get("status"),
        found["spec"].get("replicas"),
        storage.get("type") if isinstance(storage, dict) else storage,
        state.get("activeSessions"),
        state.get("patterns"),
        state.get("endpoint"),
    )
    return [*map(shown, values), age(round((datetime.now(UTC) - born).total_seconds()))]
