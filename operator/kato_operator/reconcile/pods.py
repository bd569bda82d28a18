"""The pods of a processor: who is ready, what they say, and what they are told.

Called by both stories (spec: operator.md, "How the operator and the service speak").
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Sequence

from kato_operator.desired.kinds import POD, SECRET, SESSION, Manifest
from kato_operator.desired.names import TOKEN_KEY, token_secret_name
from kato_operator.reconcile.cache import Cache
from kato_operator.reconcile.children import Standing, standing
from kato_operator.reconcile.feed import Add
from kato_operator.reconcile.observations import Look
from kato_operator.reconcile.ports import Key, PodAddress
from kato_operator.reconcile.world import SILENT_SECONDS, SLACK, World, key_of, look_seconds, session_key
from kato_operator.status.observed import Sight, ready
from kato_operator.status.processor import is_live
from kato_spec.errors import Rejected, Transient
from kato_spec.records import ParametersRecord


async def token_of(world: World, processor: Manifest) -> str:
    """Return the token of a processor's pods: known, or that of its Secret, or a new one."""
    metadata = processor["metadata"]
    uid, name = metadata["uid"], metadata["name"]
    if uid not in world.tokens:
        secret = await world.cluster.get(SECRET, metadata["namespace"], token_secret_name(name))
        if secret is not None and standing(secret, uid, name) is Standing.OURS:
            world.cache.put(SECRET, secret)
            token = _decoded(secret) or world.policy.new_token()
        else:
            token = world.policy.new_token()
        world.tokens.setdefault(uid, token)  # another story may have asked meanwhile
    return world.tokens[uid]


def _decoded(secret: Manifest) -> str | None:
    """Return the token in a Secret, or None when there is none that can be read."""
    try:
        return base64.b64decode(secret.get("data", {})[TOKEN_KEY], validate=True).decode() or None
    except (KeyError, ValueError, binascii.Error):
        return None


async def addresses(world: World, processor: Manifest) -> list[PodAddress]:
    """Return where the ready pods of a processor are."""
    token = await token_of(world, processor)
    namespace, name = processor["metadata"]["namespace"], processor["metadata"]["name"]
    shared = processor.get("status", {}).get("storage", {}).get("type") == "External"
    return [
        _address(pod, token, shared=shared)
        for pod in world.cache.of_processor(POD, namespace, name)
        if ready(pod) and pod["status"].get("podIP")
    ]


async def look_at_secrets(world: World, key: Key) -> None:
    """Read the Secrets that pods on their way are about to read: they may not be watched, and rounds come seldom."""
    if not any(
        pod["status"].get("phase") == "Pending" for pod in world.cache.of_processor(POD, key.namespace, key.name)
    ):
        return
    known = world.cache.get(SECRET, key.namespace, token_secret_name(key.name))
    live = await world.cluster.get(SECRET, key.namespace, token_secret_name(key.name))
    if live is not None:
        world.cache.put(SECRET, live)
    elif known is not None:
        world.cache.remove(SECRET, known)
    await world.secrets.look_for(key)


async def ask_ailing(world: World, processor: Manifest) -> list[Sight]:
    """Ask the pods that run, and are not ready, what ails them."""
    token = await token_of(world, processor)
    pods = world.cache.of_processor(POD, processor["metadata"]["namespace"], processor["metadata"]["name"])
    addresses = [_address(pod, token) for pod in pods if _runs(pod) and not ready(pod)]
    return list(await asyncio.gather(*map(world.observations.sight, addresses)))


def _runs(pod: Manifest) -> bool:
    """Say whether a pod is to stay, has an address, and its container runs."""
    status = pod["status"]
    running = any("running" in container.get("state", {}) for container in status.get("containerStatuses") or ())
    return running and bool(status.get("podIP")) and not pod["metadata"].get("deletionTimestamp")


def _address(pod: Manifest, token: str, *, shared: bool = False) -> PodAddress:
    """Return where a pod is."""
    metadata = pod["metadata"]
    return PodAddress(metadata["name"], metadata["uid"], pod["status"]["podIP"], token, shared)


def spokesmen(pods: Sequence[PodAddress], seen: Look) -> Sequence[PodAddress]:
    """Return the pods to speak to about sessions: each of them, or one that answers where they share their stores."""
    answering = [pod for pod, sight in zip(pods, seen.sights, strict=True) if sight.state is not None]
    return answering[:1] if answering and answering[0].shared else pods


async def look(world: World, processor: Manifest, record: ParametersRecord, *, max_age: float) -> Look:
    """Look at the pods, make `record` live where it is not, and withdraw what no one declares any more."""
    key, pods = key_of(processor), await addresses(world, processor)
    seen = await world.observations.look(key, pods, not_before=world.clock.monotonic() - max_age)
    if await _tell(world, pods, seen, record):
        seen = await world.observations.look(key, pods, not_before=math.inf)
    await _withdraw_orphans(world, processor, pods, seen)
    return seen


async def _tell(world: World, pods: Sequence[PodAddress], seen: Look, record: ParametersRecord) -> bool:
    """Tell the parameters to every pod that does not have them yet; say whether any was told."""
    late = [
        pod
        for pod, sight in zip(pods, seen.sights, strict=True)
        if sight.state is not None and not is_live(sight.state, record.uid, record.generation)
    ]
    answers = await asyncio.gather(
        *(world.sessions.tell_parameters(pod, record) for pod in late), return_exceptions=True
    )
    for answer in answers:
        # A pod that does not take them now shows in ParametersLive and is told again; anything else is our fault.
        if isinstance(answer, BaseException) and not isinstance(answer, Transient | Rejected):
            raise answer
    return bool(late)


async def _withdraw_orphans(world: World, processor: Manifest, pods: Sequence[PodAddress], seen: Look) -> None:
    """Withdraw declarations whose KatoSession is gone; the API server is asked, for the cache may lag."""
    namespace, name = processor["metadata"]["namespace"], processor["metadata"]["name"]
    declared = {session["metadata"]["uid"] for session in world.cache.of_processor(SESSION, namespace, name)}
    unknown = seen.sessions.keys() - declared
    if not unknown:
        return
    for uid in sorted(unknown - await world.cluster.uids(SESSION, namespace)):
        for pod in spokesmen(pods, seen):
            await world.sessions.withdraw(pod, uid)
        seen.sessions.pop(uid, None)


def wake_sessions(cache: Cache, add: Add, processor: Key, before: Look | None, seen: Look) -> None:
    """Have those sessions of a processor looked at of which something else is known now."""
    other_pods = before is None or before.pods != seen.pods or before.answered != seen.answered
    for session in cache.of_processor(SESSION, processor.namespace, processor.name):
        uid = session["metadata"]["uid"]
        known = before.sessions.get(uid) if before else None
        if other_pods or known is None or known != seen.sessions.get(uid):
            add(session_key(session))


def patience(world: World, processor: Manifest, record: ParametersRecord) -> float:
    """Return how old the last look may be: less when a pod was silent or had not taken its parameters.

    Where all pods stay silent they are asked ever more seldom, until it is as often as those that are well; not so
    when there is something new to tell them.
    """
    seen = world.observations.last(key_of(processor))
    if seen is None or all(is_live(sight.state, record.uid, record.generation) for sight in seen.sights):
        return look_seconds(world)
    if seen.silences == 0 or processor.get("status", {}).get("observedGeneration") != record.generation:
        return SILENT_SECONDS
    return min(look_seconds(world), SILENT_SECONDS * 2.0 ** min(seen.silences - 1, 16))


def recheck(seen: Look, max_age: float, now: float) -> float | None:
    """Return after how many seconds the last look is too old, or None when there is no pod to look at."""
    return max(0.0, seen.at + max_age - now) + SLACK if seen.pods else None
