"""Can what the user asks for be made? The last judgement before anything is written.

Called by the stories. The API server has checked the schema; objects stored under an older schema, and what depends
on what was resolved before, are judged here (spec: operator.md, "Bad input").
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from kato_operator.desired.kinds import PROCESSOR, SESSION, Manifest
from kato_operator.desired.storage import check_scale, resolve
from kato_spec.errors import Rejected
from kato_spec.manifests import validate
from kato_spec.processor import KatoProcessor
from kato_spec.session import KatoSession
from kato_spec.storage import StorageStatus

# How many verdicts are kept, one an object: a spec is judged once, however often its object is looked at.
_KEPT = 20_000


class Judge:
    """Typed manifests of stored objects, and what is wrong with them; `shared`: the chart names stores."""

    def __init__(self, *, shared: bool = False) -> None:
        self._shared = shared
        # UID -> generation that was judged, and what came of it.
        self._known: dict[str, tuple[int, KatoProcessor | KatoSession]] = {}

    def processor(self, body: Manifest) -> tuple[KatoProcessor, StorageStatus]:
        """Return a KatoProcessor and the storage that holds its memory.

        Raises:
            Rejected: naming the field, its value and what is allowed.
        """
        manifest = self._validated(body)
        if not isinstance(manifest, KatoProcessor):
            raise Rejected("kind", body["kind"], PROCESSOR.name)
        kept = _kept(body.get("status", {}))
        storage = resolve(manifest, body["metadata"]["namespace"], kept, shared=self._shared)
        check_scale(manifest, storage)
        return manifest, storage

    def session(self, body: Manifest) -> KatoSession:
        """Return a KatoSession.

        Raises:
            Rejected: naming the field, its value and what is allowed.
        """
        manifest = self._validated(body)
        if not isinstance(manifest, KatoSession):
            raise Rejected("kind", body["kind"], SESSION.name)
        return manifest

    def _validated(self, body: Manifest) -> KatoProcessor | KatoSession:
        """Return the typed manifest, judging it once for each generation."""
        metadata = body["metadata"]
        uid, generation = metadata["uid"], metadata["generation"]
        known = self._known.get(uid)
        if known is not None and known[0] == generation:
            return known[1]
        if len(self._known) >= _KEPT:
            self._known.clear()
        manifest = validate({**body, "metadata": _named(metadata)})
        self._known[uid] = (generation, manifest)
        return manifest


def _named(metadata: Manifest) -> dict[str, Any]:
    """Return the part of the metadata that users write; the rest is the API server's own."""
    return {name: metadata[name] for name in ("name", "namespace") if name in metadata}


def _kept(status: Manifest) -> StorageStatus | None:
    """Return the storage that was resolved before; one that is not readable counts as none."""
    if "storage" not in status:
        return None
    try:
        return StorageStatus.model_validate(status["storage"], by_alias=True)
    except ValidationError:
        return None
