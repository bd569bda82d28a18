"""What the stories of this room need of the world: a cluster, the processors' pods, a clock.

Implemented by `cluster` and `sessions`, and by fakes in the tests; one contract suite runs over each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from kato_operator.desired.kinds import Kind, Manifest
from kato_operator.desired.stores import Stores
from kato_spec.errors import Rejected, Transient
from kato_spec.records import DeclarationRecord, DeclaredSession, ParametersRecord, StateRecord


class Key(NamedTuple):
    """What the work queue holds: one object of one of our kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


# The reason of a refusal of what a manifest says, and of a spec that cannot be made.
INVALID = "InvalidSpec"


class Conflict(Transient):
    """Someone else changed the object in between, or holds it; look again and decide anew."""


class NotServed(Transient):
    """The API server does not know the kind: the CRDs are not installed, or not yet."""


class Refused(Rejected):
    """The API server refuses a write for good: what the schema let through cannot be made (`reason`: its word)."""

    def __init__(self, subject: str, reason: str, message: str) -> None:
        super().__init__(subject, reason, message)
        self.reason = reason
        self.message = message
        self.args = (f"{subject}: {message}",)


class Clock(Protocol):
    """Time, injected so that tests can move it."""

    def now(self) -> datetime:
        """Return the wall clock in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


@dataclass(frozen=True, slots=True)
class Happening:
    """One Event to be shown beside an object: `about` is the object, `note` is for a person to read."""

    about: Manifest
    type: Literal["Normal", "Warning"]
    reason: str
    note: str


class Cluster(Protocol):
    """The Kubernetes API, as far as the operator uses it.

    Every call raises `Transient` where a retry may help, `Refused` where the API server will never take it.
    """

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return an object, or None when there is none."""
        ...

    async def listing(self, kind: Kind) -> list[Manifest]:
        """Return every object of `kind` that is watched: all of our own kinds, of others those with our label."""
        ...

    async def versions(self, kind: Kind) -> dict[tuple[str, str], str]:
        """Return namespace and name -> resource version of the same objects, without their bodies."""
        ...

    async def uids(self, kind: Kind, namespace: str) -> frozenset[str]:
        """Return the UIDs of every object of `kind` in `namespace`, as the store has them now."""
        ...

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Apply `manifest` where there is no object of its name yet; `Conflict` when there is one, left untouched."""
        ...

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Apply `manifest` by server-side apply and return what is stored; other hands' fields stay theirs."""
        ...

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Store `manifest` whole; `Conflict` when its resource version is no longer the stored one."""
        ...

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Store the status of `manifest`; `Conflict` when its resource version is no longer the stored one."""
        ...

    async def set_finalizers(self, kind: Kind, manifest: Manifest, finalizers: Sequence[str]) -> Manifest:
        """Set the finalizers of the object and return it; `Conflict` as above."""
        ...

    async def delete(self, kind: Kind, manifest: Manifest) -> None:
        """Delete the very object that `manifest` is (by UID); one that is gone is no error."""
        ...

    async def announce(self, happening: Happening) -> None:
        """Post an Event; the same about the same version of an object is one Event, however often it is posted."""
        ...


@dataclass(frozen=True, slots=True)
class PodAddress:
    """Where one pod's internal API is, and the token that opens it.

    `shared`: what it is told of sessions holds for every pod of the processor.
    """

    name: str
    uid: str
    ip: str
    token: str
    shared: bool = False


class StoresPort(Protocol):
    """What processors leave in stores that they share with others."""

    async def remove(self, stores: Stores, seconds: float) -> list[str]:
        """Remove all that is the processor's, within `seconds`; return what was left and why, in words.

        Raises:
            Transient: this process may not write now.
        """
        ...


class StoreAway(Transient):
    """A pod answers, and says that it cannot reach a store of its own; `store` is what that is called."""

    def __init__(self, pod: str, store: str) -> None:
        super().__init__(f"pod {pod}: {store} cannot be reached")
        self.store = store


class Sessions(Protocol):
    """What the pods of a processor say and are told.

    Every call raises `Transient` where the pod does not answer, `Refused` where it will never take it.
    """

    async def state(self, pod: PodAddress) -> StateRecord:
        """Return what the pod says about itself; `StoreAway` where its store keeps it from serving."""
        ...

    async def tell_parameters(self, pod: PodAddress, record: ParametersRecord) -> None:
        """Make `record` live on the pod."""
        ...

    async def declare(self, pod: PodAddress, record: DeclarationRecord) -> DeclaredSession:
        """Declare a session, or declare it anew, and return what became of it."""
        ...

    async def withdraw(self, pod: PodAddress, uid: str) -> None:
        """Remove a declaration and its session; one that is gone is no error."""
        ...
