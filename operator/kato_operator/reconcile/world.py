"""What the stories share: the ports, the cache, the last looks, and what the wiring room decided.

Made once by the composition root.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kato_operator.desired.kinds import PROCESSOR, SESSION, Manifest
from kato_operator.desired.stores import Sources, Stores
from kato_operator.reconcile.cache import Cache, place_of
from kato_operator.reconcile.feed import Add
from kato_operator.reconcile.finalizers import Rights
from kato_operator.reconcile.observations import Observations
from kato_operator.reconcile.ports import Clock, Cluster, Key, Sessions, StoresPort
from kato_operator.reconcile.secrets import Secrets

# How old an answer of a pod may be when counters are written from it: so every change shows in time.
FRESH_SECONDS = 5.0
# What a wait is rounded up by, so that what is waited for has surely come.
SLACK = 0.01
# When a pod that is ready and does not answer is asked again; where none answers, the later the more often.
SILENT_SECONDS = 3.0
# Looks that find nothing new, and reads of Secrets, are most of what an operator at rest costs: in a large fleet they
# come more seldom, and the reads have what the looks leave.
LOOKS_PER_SECOND, LOOKS_AND_READS_PER_SECOND = 4.0, 5.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What the wiring room decided: times in seconds; `new_token` makes a secret that no one can guess."""

    service_image: str
    counters_seconds: float
    cleanup_seconds: float
    new_token: Callable[[], str]
    # The Secrets of the stores for processors that name none; None: such a processor's memory is embedded.
    stores: Sources | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Everything a story needs; `tokens`, `counted` and `tried` are memory that a restart may lose."""

    cluster: Cluster
    sessions: Sessions
    stores: StoresPort
    clock: Clock
    cache: Cache
    observations: Observations
    secrets: Secrets
    rights: Rights
    add: Add
    policy: Policy
    # UID of a processor -> its pods' token; UID of an object -> when counters in its status were last written.
    tokens: dict[str, str] = field(default_factory=dict)
    counted: dict[str, float] = field(default_factory=dict)
    # UID of a processor that is being deleted -> when the removal of its memory was first tried.
    tried: dict[str, float] = field(default_factory=dict)
    # Processor -> its stores: a namespace that goes may take the Secrets before the processor.
    known_stores: dict[Key, Stores] = field(default_factory=dict)


def key_of(manifest: Manifest) -> Key:
    """Return the key of one of our own objects."""
    return Key(manifest["kind"], *place_of(manifest))


def processor_key(namespace: str, name: str) -> Key:
    """Return the key of a processor."""
    return Key(PROCESSOR.name, namespace, name)


def session_key(session: Manifest) -> Key:
    """Return the key of a session."""
    return Key(SESSION.name, *place_of(session))


def look_seconds(world: World) -> float:
    """Return how often pods are looked at where nothing asks for it sooner, in seconds."""
    return max(world.policy.counters_seconds, world.cache.count(PROCESSOR) / LOOKS_PER_SECOND)


def read_seconds(world: World) -> float:
    """Return how long to wait between two reads of Secrets, in seconds."""
    return 1 / (LOOKS_AND_READS_PER_SECOND - world.cache.count(PROCESSOR) / look_seconds(world))


def soonest(*waits: float | None) -> float | None:
    """Return the least of the waits that there are, in seconds."""
    return min((wait for wait in waits if wait is not None), default=None)
