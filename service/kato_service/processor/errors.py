"""What can go wrong inside the service, as kinds of `Rejected` and `Transient`.

Raised by the processor and the stores; `kato_service.api.errors` gives each its HTTP status (service.md, "Errors").
"""

from __future__ import annotations

from kato_spec.errors import Rejected, Transient


class SessionNotFound(Rejected):
    """No session has this id, or it has expired."""

    def __init__(self, session_id: str) -> None:
        super().__init__("session_id", session_id, "the id of a session that exists and has not expired")
        self.session_id = session_id


class PatternNotFound(Rejected):
    """The knowledge base holds no pattern of this name."""

    def __init__(self, name: str, node: str) -> None:
        super().__init__("name", name, f"the name of a pattern that node {node!r} has learned")


class DeclarationNotFound(Rejected):
    """No declaration has this uid."""

    def __init__(self, uid: str) -> None:
        super().__init__("uid", uid, "the uid of a declaration that was put here")


class EmptyMemory(Rejected):
    """The session's short-term memory holds nothing that could be learned."""

    def __init__(self) -> None:
        super().__init__("stm", [], "a short-term memory with at least one event")


class InvalidExport(Rejected):
    """What is to be imported is no whole, undamaged export."""


class MemoryNotEmpty(Rejected):
    """An import without `merge` meets a knowledge base that holds something."""

    def __init__(self, node: str, patterns: int) -> None:
        allowed = f"a node that has learned nothing (this one has {patterns} patterns), or merge=true to add to it"
        super().__init__("node_id", node, allowed)


class KeyReused(Rejected):
    """An idempotency key came again with a different request."""

    def __init__(self, key: str) -> None:
        super().__init__("Idempotency-Key", key, "a key that no different request of the last 24 hours has used")


class StaleGeneration(Rejected):
    """A record is older than the one of the same uid that is live."""

    def __init__(self, generation: int, live: int) -> None:
        super().__init__("generation", generation, f"{live} or newer, which is live")
        self.live = live


class InvalidRecord(Rejected):
    """A record from the operator or a file holds something it may not."""


class TooManySessions(Transient):
    """The processor's session limit is reached."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} sessions are active, which is this processor's limit", retry_after=5.0)
        self.limit = limit


class StoreUnavailable(Transient):
    """A store does not answer or refuses to write."""


class StillLoading(Transient):
    """The knowledge bases are not in memory yet."""

    def __init__(self) -> None:
        super().__init__("the processor is still loading its memory", retry_after=1.0)


class SequenceTaken(Transient):
    """Another writer has appended the entry of this seq; read the tail and try again with the next."""

    def __init__(self, node: str, seq: int) -> None:
        super().__init__(f"entry {seq} of node {node!r} is taken", retry_after=0.0)


class LogCompacted(Transient):
    """The entries asked for have been folded away; load the knowledge base again."""

    def __init__(self, node: str, folded: int) -> None:
        super().__init__(f"the log of node {node!r} is folded up to entry {folded}", retry_after=0.0)


class RepeatedOperation(Rejected):
    """Operations of these ids are in the log already; appending them again would count them twice."""

    def __init__(self, op_ids: frozenset[str]) -> None:
        super().__init__("op_id", sorted(op_ids), "ids that the log does not hold yet")
        self.op_ids = op_ids


class DataDirectoryInUse(Rejected):
    """Another process serves this data directory."""


class UnsupportedSchema(Rejected):
    """A database was written by a newer version of the service; it has not been touched."""


class StoreDamaged(Rejected):
    """A file that should be a database of this service is not one; it has not been touched."""
