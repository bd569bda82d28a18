"""Secrets that others made and processors name: read by name, remembered, and looked at again and again.

Used by the story of a processor; `rounds` looks at them, for the operator may not watch Secrets (spec: operator.md,
"Least privilege"). What they hold stays in memory, and in no log or error.
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict

from kato_operator.desired.kinds import SECRET, Manifest
from kato_operator.desired.stores import SCHEMES, Source
from kato_operator.reconcile.cache import Place
from kato_operator.reconcile.feed import Add
from kato_operator.reconcile.ports import Cluster, Key


class Secrets:
    """What is known of Secrets by namespace and name, and whose keys are added when one of them changes."""

    def __init__(self, cluster: Cluster, add: Add) -> None:
        self._cluster = cluster
        self._add = add
        self._known: dict[Place, Manifest | None] = {}
        self._readers: defaultdict[Place, set[Key]] = defaultdict(set)

    @property
    def places(self) -> list[Place]:
        """Namespace and name of each Secret that someone reads."""
        return sorted(self._readers)

    def forget(self, reader: Key) -> None:
        """Look no more at what only `reader` has read."""
        for place in [place for place, readers in self._readers.items() if reader in readers]:
            self._readers[place].discard(reader)
            if not self._readers[place]:
                del self._readers[place]
                self._known.pop(place, None)

    async def url(self, reader: Key, source: Source) -> str:
        """Return the address of a store; `reader` is looked at whenever it may be another one.

        Raises:
            StoresMissing: no Secret, no such key in it, or no such address.
        """
        place = (source.namespace, source.secret)
        self._readers[place].add(reader)
        if self._known.get(place) is None:  # what is not there may have come by now
            self._known[place] = await self._cluster.get(SECRET, *place)
        secret = self._known[place]
        if secret is None:
            raise source.missing("SecretNotFound", "is not there")
        held = (secret.get("data") or {}).get(source.key)
        if held is None:
            raise source.missing("SecretKeyNotFound", f"has no key {source.key}")
        url = _decoded(held)
        if url != url.strip():
            raise source.missing("SecretInvalid", f"holds under {source.key} white space or a line break too many")
        if not url.startswith(SCHEMES[source.field]):
            schemes = " or ".join(f"{scheme}..." for scheme in SCHEMES[source.field])
            raise source.missing("SecretInvalid", f"holds under {source.key} something else than {schemes}")
        return url

    async def look_for(self, reader: Key) -> None:
        """See whether the Secrets that `reader` has read are as they were."""
        for place in [place for place in self.places if reader in self._readers[place]]:
            await self.look(place)

    async def look(self, place: Place) -> None:
        """See whether a Secret is as it was, and have its readers looked at if it is not."""
        if place not in self._readers:
            return
        live, known = await self._cluster.get(SECRET, *place), self._known.get(place)
        self._known[place] = live
        if (live or {}).get("data") != (known or {}).get("data") or (live is None) is not (known is None):
            for reader in self._readers[place]:
                self._add(reader)


def _decoded(held: str) -> str:
    """Return what a Secret holds as text; what is none counts as nothing."""
    try:
        return base64.b64decode(held, validate=True).decode()
    except (ValueError, binascii.Error):
        return ""
