"""Names that more than one room must agree on: reserved IDs, Redis keys, Mongo databases, children, labels.

Called by the operator, the service and the command line (spec: operator.md, "How the operator and the service speak").
"""

from __future__ import annotations

import hashlib
import re

GROUP = "kato.dev"
# The collections of a processor's Mongo database.
MONGODB_COLLECTIONS = ("entry", "kb", "pattern", "schema", "vector")
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

PROCESSOR_NAME_MAX = 47
PROCESSOR_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

# Every first segment of the service's own paths: `/{processor_id}/...` must never hide one of them.
RESERVED_IDS = frozenset(
    {
        "cache",
        "clear-all",
        "clear-all-memory",
        "clear-stm",
        "cognition-data",
        "concurrency",
        "connection-pools",
        "docs",
        "export",
        "health",
        "import",
        "internal",
        "learn",
        "livez",
        "metrics",
        "observe",
        "openapi.json",
        "pattern",
        "patterns",
        "percept-data",
        "ping",
        "predictions",
        "prometheus",
        "readyz",
        "redoc",
        "sessions",
        "startupz",
        "stats",
        "status",
        "stm",
        "symbols",
        "ws",
    }
)


def processor_id_problem(name: str) -> str | None:
    """Say why `name` cannot be a processor's ID, or return None when it can (operator.md, KatoProcessor)."""
    if len(name) > PROCESSOR_NAME_MAX or not re.fullmatch(PROCESSOR_NAME_PATTERN, name):
        return (
            f"a DNS label of at most {PROCESSOR_NAME_MAX} characters: a-z, 0-9 and -, beginning and ending alphanumeric"
        )
    if name in RESERVED_IDS:
        return "any name but the reserved ones: " + ", ".join(sorted(RESERVED_IDS))
    return None


def child_name(processor: str) -> str:
    """Return the name of a processor's children on a cluster and of its process on a laptop: `kato-<name>`."""
    return f"kato-{processor}"


def hash_tag(namespace: str, processor: str) -> str:
    """Return the one Redis Cluster hash tag of a processor: every key of it lies in one slot."""
    return f"{{{namespace}/{processor}}}"


def key_prefix(namespace: str, processor: str) -> str:
    """Return what every Redis key of a processor begins with."""
    return f"kato:{hash_tag(namespace, processor)}:"


def parameters_key(namespace: str, processor: str) -> str:
    """Return the Redis key of a processor's live parameters (a `ParametersRecord` as JSON)."""
    return f"{key_prefix(namespace, processor)}parameters"


def declaration_key(namespace: str, processor: str, uid: str) -> str:
    """Return the Redis key of one declared session (a `DeclarationRecord` as JSON)."""
    return f"{key_prefix(namespace, processor)}declaration:{uid}"


def declarations_key(namespace: str, processor: str) -> str:
    """Return the Redis set of the uids that have a declaration key; both change in one transaction."""
    return f"{key_prefix(namespace, processor)}declarations"


def state_key(namespace: str, processor: str, replica: str) -> str:
    """Return the Redis key of one replica's observed state (a `StateRecord` as JSON), which expires without it."""
    return f"{key_prefix(namespace, processor)}state:{replica}"


def wakeup_channel(namespace: str, processor: str) -> str:
    """Return the Redis channel that wakes a processor's replicas; a message of `{}` has them look at everything."""
    return f"{key_prefix(namespace, processor)}wakeup"


def database_name(namespace: str, processor: str) -> str:
    """Return a processor's Mongo database: `kato_` and the first 24 hex digits of SHA-256 of `<namespace>/<name>`."""
    return "kato_" + hashlib.sha256(f"{namespace}/{processor}".encode()).hexdigest()[:24]
