"""The story of a KatoSession: find its processor, declare it there, and report what became of it.

Run by the workers for a key. The service alone makes sessions; what is deleted here is withdrawn by the processor's
story (spec: operator.md, KatoSession).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kato_operator.desired.kinds import PROCESSOR, SESSION, Manifest
from kato_operator.desired.names import endpoint
from kato_operator.reconcile.judge import Judge
from kato_operator.reconcile.pods import addresses, spokesmen
from kato_operator.reconcile.ports import Happening, Key, PodAddress, Refused
from kato_operator.reconcile.statuses import (
    is_counters_alone,
    is_paused,
    tell,
    wait_for_counters,
    write_paused,
    write_status,
)
from kato_operator.reconcile.world import (
    FRESH_SECONDS,
    SILENT_SECONDS,
    SLACK,
    World,
    look_seconds,
    processor_key,
    soonest,
)
from kato_operator.status.conditions import find
from kato_operator.status.observed import Problem
from kato_operator.status.session import COUNTERS, SessionView, session_status
from kato_spec.errors import Rejected, Transient
from kato_spec.records import DeclaredSession, SessionDefaults
from kato_spec.session import KatoSession

# How long after its time a session is looked at, and how old an answer may then be.
EXPIRY_SLACK = 0.25
# Sessions that end one after the other are looked at together, at multiples of this many seconds.
EXPIRY_BEAT = 0.5
REFUSED_SECONDS = 30.0
# Why a session cannot be used while its processor has no ready pod.
SUSPENDED, NOT_READY = "ProcessorSuspended", "ProcessorNotReady"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of a session.

    `declared`: what the pod says; `hindrance`: why it could not be asked or made, and `again` when to try, in
    seconds; `orphan`: its processor is gone; `over`: it has expired where no pod could say so; `lost`: it is a new
    session, for the pod knew nothing of the one before.
    """

    declared: DeclaredSession | None = None
    endpoint: str | None = None
    hindrance: Problem | None = None
    again: float | None = None
    orphan: bool = False
    over: bool = False
    lost: bool = False


class SessionStory:
    """What is done about one session."""

    def __init__(self, world: World, judge: Judge) -> None:
        self._world = world
        self._judge = judge

    async def __call__(self, key: Key) -> float | None:
        """Bring a session to what is wanted; return after how many seconds to look again, or None."""
        # 1. What is asked for? One that is gone is withdrawn by the story of its processor.
        world = self._world
        body = world.cache.get(SESSION, key.namespace, key.name)
        if body is None or body["metadata"].get("deletionTimestamp"):
            return None
        if is_paused(body):
            await write_paused(world, SESSION, body, "Ready", "Unknown")
            return None
        # 2. One that expired long enough ago removes itself.
        removal = self._removal_in(body)
        if removal is not None and removal <= 0:
            await world.cluster.delete(SESSION, body)
            return None
        # 3. Declare it where its processor is, or see what became of it.
        found = await self._find(body, max_age=math.inf)
        status = self._status(body, found)
        # 4. Report; counters alone may have to wait, and are then read anew.
        wait = wait_for_counters(world, body, status, COUNTERS)
        if wait == 0:
            if is_counters_alone(body, status, COUNTERS):
                found = await self._find(body, max_age=FRESH_SECONDS)
                status = self._status(body, found)
            await self._tell_of_loss(body, found)
            await write_status(world, SESSION, body, status, COUNTERS)
        return soonest(wait or None, found.again, removal, self._expiry_in(found.declared))

    async def _find(self, body: Manifest, *, max_age: float) -> Found:
        """Find the session at its processor; what the pods said is taken when it is at most `max_age` seconds old."""
        try:
            session = self._judge.session(body)
        except Rejected as error:
            return Found(hindrance=Problem.of(error))
        namespace, name = body["metadata"]["namespace"], session.spec.processor_ref.name
        processor = self._world.cache.get(PROCESSOR, namespace, name)
        if processor is None or processor["metadata"].get("deletionTimestamp"):
            problem = Problem("ProcessorNotFound", f"there is no KatoProcessor {name} in namespace {namespace}")
            return Found(hindrance=problem, orphan=True)
        pods = await addresses(self._world, processor)
        url = endpoint(name, namespace, processor["spec"]["port"])
        if not pods:
            suspended = processor["spec"].get("suspend", False)
            reason = SUSPENDED if suspended else NOT_READY
            hindrance = Problem(reason, f"KatoProcessor {name} has no ready pod")
            left = self._unseen_expiry_in(body, session, processor)
            again = None if left is None else max(0.0, left) + EXPIRY_SLACK
            return Found(endpoint=url, hindrance=hindrance, again=again, over=left is not None and left <= 0)
        return await self._bind(body, session, pods, url, max_age)

    async def _bind(
        self, body: Manifest, session: KatoSession, pods: Sequence[PodAddress], url: str, max_age: float
    ) -> Found:
        """Declare the session unless the pod knows it as it is wanted."""
        world, uid, generation = self._world, body["metadata"]["uid"], body["metadata"]["generation"]
        place = processor_key(body["metadata"]["namespace"], session.spec.processor_ref.name)
        if self._is_due(place, uid):
            max_age = EXPIRY_SLACK
        last = world.observations.last(place)
        if last is not None and not last.answered:  # nobody else may look: not while the processor is paused
            max_age = min(max_age, look_seconds(world))
        seen = await world.observations.look(place, pods, not_before=world.clock.monotonic() - max_age)
        if not seen.answered:
            problem = Problem("ProcessorNotReady", "; ".join(sight.error for sight in seen.sights))
            return Found(endpoint=url, hindrance=problem, again=look_seconds(world) + SLACK)
        known, before = seen.sessions.get(uid), body.get("status", {})
        if known is None and _has_ended(session, before, generation):
            return Found(endpoint=url)
        if known is not None and known.generation >= generation and not _to_renew(session, known):
            return Found(known, url, lost=_is_lost(session, before, generation, known, known))
        record = session.record(uid, generation)
        try:
            declared = [await world.sessions.declare(pod, record) for pod in spokesmen(pods, seen)][-1]
        except (Transient, Refused) as error:
            again = REFUSED_SECONDS if isinstance(error, Refused) else max(error.retry_after, SILENT_SECONDS)
            reason = error.reason if isinstance(error, Refused) else "NotMadeYet"
            return Found(known, url, Problem(reason, str(error)), again)
        seen.sessions[uid] = declared
        return Found(declared, url, lost=_is_lost(session, before, generation, known, declared))

    def _is_due(self, processor: Key, uid: str) -> bool:
        """Say whether the session should have expired by now, as far as is known."""
        seen = self._world.observations.last(processor)
        declared = seen.sessions.get(uid) if seen else None
        if declared is None or declared.phase != "Active" or declared.expires_at is None:
            return False
        return declared.expires_at <= self._world.clock.now()

    def _expiry_in(self, declared: DeclaredSession | None) -> float | None:
        """Return in how many seconds to see whether an active session has expired; it may have slid by then."""
        if declared is None or declared.phase != "Active" or declared.expires_at is None:
            return None
        now = self._world.clock.now().timestamp()
        due = max(now, declared.expires_at.timestamp()) + EXPIRY_SLACK
        return math.ceil(due / EXPIRY_BEAT) * EXPIRY_BEAT - now

    def _unseen_expiry_in(self, body: Manifest, session: KatoSession, processor: Manifest) -> float | None:
        """Return in how many seconds an active session has expired for certain, though no pod can be asked.

        Its last use may have been as late as its processor's last ready pod, where uses begin its time anew.
        """
        before, now = body.get("status", {}), self._world.clock.now()
        if before.get("phase") != "Active" or "expiresAt" not in before:
            return None
        end, defaults = datetime.fromisoformat(before["expiresAt"]), processor["spec"].get("sessions") or {}
        if defaults.get("autoExtend", True):
            ready = find(before, "Ready")
            alone = ready is not None and ready["reason"] in (SUSPENDED, NOT_READY)
            since = datetime.fromisoformat(ready["lastTransitionTime"]) if ready and alone else now
            seconds = session.spec.ttl_seconds or defaults.get("ttlSeconds") or SessionDefaults().ttl_seconds
            end = max(end, since + timedelta(seconds=seconds))
        return (end - now).total_seconds()

    def _removal_in(self, body: Manifest) -> float | None:
        """Return in how many seconds an expired session is to remove itself, or None."""
        after = body["spec"].get("removeAfterExpirySeconds")
        expired = find(body.get("status", {}), "Expired")
        if after is None or expired is None or expired["status"] != "True":
            return None
        since = self._world.clock.now() - datetime.fromisoformat(expired["lastTransitionTime"])
        return float(after) - since.total_seconds()

    def _status(self, body: Manifest, found: Found) -> dict[str, Any]:
        """Return the status."""
        view = SessionView(
            generation=body["metadata"]["generation"],
            user_id=body["spec"].get("userId") or body["metadata"]["name"],
            endpoint=found.endpoint,
            declared=found.declared,
            hindrance=found.hindrance,
            orphan=found.orphan,
            over=found.over,
        )
        return session_status(view, body.get("status", {}), self._world.clock.now())

    async def _tell_of_loss(self, body: Manifest, found: Found) -> None:
        """Say that a session and its short-term memory were lost, and that another one took its place."""
        if found.lost and found.declared:
            note = f"{body['status']['sessionId']} is gone with its store; bound anew to {found.declared.session_id}"
            await tell(self._world, Happening(body, "Warning", "SessionLost", note))


def _has_ended(session: KatoSession, before: Manifest, generation: int) -> bool:
    """Say whether a session that no pod knows has expired for good, rather than been lost."""
    same = before.get("phase") == "Expired" and before.get("observedGeneration") == generation
    return same and session.spec.expiry_policy == "Expire"


def _is_lost(
    session: KatoSession, before: Manifest, generation: int, known: DeclaredSession | None, declared: DeclaredSession
) -> bool:
    """Say whether a session took the place of one that was lost, not of one that expired.

    The pod knew nothing of it; or it does so since a try that was broken off before it could be told. Where sessions
    are renewed, what it knows may be the one that followed an expiry.
    """
    if before.get("phase") != "Active" or before.get("sessionId") == declared.session_id:
        return False
    same = session.spec.expiry_policy == "Expire" and before.get("observedGeneration") == generation
    return known is None or (same and known.phase == "Active")


def _to_renew(session: KatoSession, known: DeclaredSession) -> bool:
    """Say whether a session has expired and another one is to take its place, which a declaration makes at once."""
    return known.phase == "Expired" and session.spec.expiry_policy == "Renew"
