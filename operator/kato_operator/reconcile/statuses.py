"""Write a status when it says something new, and tell of transitions.

Called at the end of both stories (spec: operator.md, "Written only on change; counters are refreshed at most every
30 s", "Events only on transitions").
"""

from __future__ import annotations

from typing import Any

import structlog

from kato_operator.desired.kinds import Kind, Manifest
from kato_operator.desired.names import PAUSED_ANNOTATION
from kato_operator.reconcile.ports import Happening, Refused
from kato_operator.reconcile.world import SLACK, World
from kato_operator.status.conditions import Finding, Truth, with_finding
from kato_operator.status.transitions import transitions

log = structlog.get_logger()


def changed(before: Manifest, after: Manifest) -> frozenset[str]:
    """Return the fields in which two statuses differ."""
    return frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def wait_for_counters(world: World, body: Manifest, status: Manifest, counters: frozenset[str]) -> float:
    """Return for how many seconds a status that is new in its counters alone must still wait; 0 when it need not."""
    news = changed(body.get("status", {}), status)
    if not news or not news <= counters:
        return 0.0
    written = world.counted.get(body["metadata"]["uid"])
    if written is None:
        return 0.0
    wait = written + world.policy.counters_seconds - world.clock.monotonic()
    return wait + SLACK if wait > 0 else 0.0


def is_counters_alone(body: Manifest, status: Manifest, counters: frozenset[str]) -> bool:
    """Say whether a status is new, and in its counters alone."""
    news = changed(body.get("status", {}), status)
    return bool(news) and news <= counters


async def write_status(
    world: World, kind: Kind, body: Manifest, status: dict[str, Any], counters: frozenset[str]
) -> None:
    """Store `status` if it is new, after an Event for each transition.

    A status that is stored is a transition that no one sees again: so the Event comes first, and is one however often
    it is posted.
    """
    before = body.get("status", {})
    news = changed(before, status)
    if not news:
        return
    for transition in transitions(before, status):
        await tell(world, Happening(body, transition.type, transition.reason, transition.note))
    stored = await world.cluster.write_status(kind, {**body, "status": status})
    world.cache.put(kind, stored)
    if not news.isdisjoint(counters):
        world.counted[body["metadata"]["uid"]] = world.clock.monotonic()


async def tell(world: World, happening: Happening) -> None:
    """Post an Event; one that is never taken, as in a namespace that goes or under a quota, holds nothing up."""
    try:
        await world.cluster.announce(happening)
    except Refused as error:
        log.info("no event", reason=happening.reason, error=str(error))


def is_paused(body: Manifest) -> bool:
    """Say whether a user asks that an object be left alone."""
    return bool(body["metadata"].get("annotations", {}).get(PAUSED_ANNOTATION) == "true")


async def write_paused(world: World, kind: Kind, body: Manifest, condition: str, truth: Truth) -> None:
    """Say in one condition that an object is left alone; all else stays as it was."""
    finding = Finding(condition, truth, "Paused", f"{PAUSED_ANNOTATION} is set: nothing is reconciled")
    generation, now = body["metadata"]["generation"], world.clock.now()
    status = with_finding(body.get("status", {}), finding, generation=generation, now=now)
    await write_status(world, kind, body, status, frozenset())
