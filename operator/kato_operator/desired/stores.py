"""The stores that replicas share: which Secrets name them, and a processor's place in them.

Made by `reconcile` from the spec, read by the manifests of this room (spec: operator.md, KatoProcessor, spec.storage).
What a Secret holds is compared by a keyed digest alone: it stands in no manifest but a Secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field

from kato_operator.desired import names
from kato_spec.errors import Rejected
from kato_spec.keys import key_prefix
from kato_spec.storage import ExternalStorage, Storage

MONGODB_FIELD = "spec.storage.external.mongodb.uriSecretRef"
REDIS_FIELD = "spec.storage.external.redis.urlSecretRef"
URI_KEY, URL_KEY = "uri", "url"
MONGODB_PORT = 27017
SCHEMES = {
    MONGODB_FIELD: ("mongodb://", "mongodb+srv://"),
    REDIS_FIELD: ("redis://", "rediss://"),
}


class StoresMissing(Rejected):
    """The stores of a processor cannot be told from the Secrets that should name them."""

    def __init__(self, field: str, reason: str, message: str) -> None:
        super().__init__(field, reason, message)
        self.reason = reason
        self.args = (f"{field}: {message}",)


@dataclass(frozen=True, slots=True)
class Source:
    """The key of a Secret that names a store; `field` is what a message calls it."""

    field: str
    namespace: str
    secret: str
    key: str

    def missing(self, reason: str, what: str) -> StoresMissing:
        """Return the error that the Secret does not name a store; no word of what it holds."""
        return StoresMissing(self.field, reason, f"Secret {self.namespace}/{self.secret} {what}")


@dataclass(frozen=True, slots=True)
class Sources:
    """The Secrets of one processor's stores, or of the stores that the chart names."""

    mongodb: Source
    redis: Source


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one processor and its place in them. The URLs hold passwords: they are never shown."""

    namespace: str
    processor: str
    database: str
    mongodb_uri: str = field(repr=False)
    redis_url: str = field(repr=False)

    @property
    def keys(self) -> str:
        """What the processor's Redis keys begin with."""
        return key_prefix(self.namespace, self.processor)

    def digest(self, token: str) -> str:
        """Return a digest by which pods are replaced when a store is another one; it tells nothing without `token`."""
        text = "\n".join((self.mongodb_uri, self.redis_url))
        return hmac.new(token.encode(), text.encode(), hashlib.sha256).hexdigest()[:16]


def servers(mongodb_uri: str) -> frozenset[str]:
    """Return the servers that a MongoDB connection string names, as `host:port`."""
    hosts = mongodb_uri.partition("://")[2].partition("/")[0].rpartition("@")[2].lower().split(",")
    return frozenset(host if re.search(r":\d+$", host) else f"{host}:{MONGODB_PORT}" for host in hosts)


def own_sources(namespace: str, external: ExternalStorage) -> Sources:
    """Return the Secrets that a processor's own spec names."""
    mongodb, redis = external.mongodb.uri_secret_ref, external.redis.url_secret_ref
    return Sources(
        Source(MONGODB_FIELD, namespace, mongodb.name, mongodb.key),
        Source(REDIS_FIELD, namespace, redis.name, redis.key),
    )


def sources(namespace: str, storage: Storage | None, of_chart: Sources | None) -> Sources:
    """Return the Secrets that name a processor's external stores: its own, else the chart's.

    Raises:
        StoresMissing: its memory is in the chart's stores, and the chart names none any more.
    """
    if storage and storage.external:
        return own_sources(namespace, storage.external)
    if of_chart is None:
        said = "left out, and the chart names no stores any more; name them here, or in the chart's stores"
        raise StoresMissing("spec.storage.external", "StoresNotNamed", said)
    return of_chart


def pod_sources(name: str, namespace: str, storage: Storage | None) -> Sources:
    """Return the Secrets that the pods read: the spec's own, else the copy of the chart's beside them."""
    if storage and storage.external:
        return own_sources(namespace, storage.external)
    copy = names.stores_secret_name(name)
    return Sources(Source(MONGODB_FIELD, namespace, copy, URI_KEY), Source(REDIS_FIELD, namespace, copy, URL_KEY))
