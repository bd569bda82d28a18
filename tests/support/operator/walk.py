"""The first steps of most tests of a KatoProcessor: applied, running, and the children that it always has."""

from __future__ import annotations

from kato_operator.desired.kinds import (
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    NETWORK_POLICY,
    PROCESSOR,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)
from tests.support.operator.rig import Rig

ALWAYS = {
    (DEPLOYMENT, "kato-broad"),
    (SERVICE, "kato-broad"),
    (CONFIG_MAP, "kato-broad"),
    (SERVICE_ACCOUNT, "kato-broad"),
    (NETWORK_POLICY, "kato-broad"),
    (SECRET, "kato-broad-internal"),
    (CLAIM, "kato-broad-memory"),
}


def children(rig: Rig) -> set[tuple[Kind, str]]:
    return {(kind, name) for kind, _, name in rig.cluster.objects if kind is not PROCESSOR}


async def applied(rig: Rig, name: str = "broad", **spec: object) -> None:
    rig.user_applies(PROCESSOR, name, **spec)
    await rig.settle()


async def running(rig: Rig, name: str = "broad", **spec: object) -> None:
    await applied(rig, name, **spec)
    await rig.pod_runs(name)
