"""What an API server with our CRDs says of a manifest: the fields it blames, written as `kato_spec.manifests` does.

Every question is a dry run, so nothing is stored. Used by the cluster tests on the tables of tests/manifests.
"""

from __future__ import annotations

import re
from typing import Any

import httpx

from kato_spec.keys import API_VERSION
from kato_spec.schema import KINDS

STRICT = {"dryRun": "All", "fieldValidation": "Strict"}
# What the server says when it cannot tell what object it is given, before it looks at any field.
_HEADS = (("the API version in the data", "apiVersion"), ("Object 'Kind' is missing", "kind"))


class ApiServer:
    """An API server that has the CRDs; `client` knows its address and may write in `namespace`, which is empty."""

    def __init__(self, client: httpx.Client, namespace: str = "default") -> None:
        self._client = client
        base = f"/apis/{API_VERSION}/namespaces/{namespace}"
        self._paths = {kind.name: f"{base}/{kind.plural}" for kind in KINDS}

    def refused(self, document: dict[str, Any]) -> set[str]:
        """Return the fields for which the server refuses to create `document`; empty when it would create it."""
        path = self._paths.get(document.get("kind", ""), self._paths["KatoProcessor"])
        return _blamed(self._client.post(path, params=STRICT, json=document))

    def completed(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the spec that the server would store for `document`, which it accepts: defaults filled in."""
        answer = self._client.post(self._paths[document["kind"]], params=STRICT, json=document)
        spec: dict[str, Any] = answer.raise_for_status().json()["spec"]
        return spec

    def refused_update(self, old: dict[str, Any], new: dict[str, Any]) -> set[str]:
        """Return the fields for which the server refuses to replace `old` by `new`; `old` is created for it."""
        listing = self._paths[old["kind"]]
        path = f"{listing}/{old['metadata']['name']}"
        self._client.post(listing, json=old).raise_for_status()
        try:
            return _blamed(self._replaced(path, new))
        finally:
            self._client.delete(path).raise_for_status()

    def _replaced(self, path: str, new: dict[str, Any]) -> httpx.Response:
        """Ask to replace what is at `path`; again, when an operator wrote to it at the same moment."""
        while True:
            there = self._client.get(path).raise_for_status().json()
            version = {"resourceVersion": there["metadata"]["resourceVersion"]}
            answer = self._client.put(path, params=STRICT, json=new | {"metadata": new["metadata"] | version})
            if answer.status_code != httpx.codes.CONFLICT:
                return answer


def _blamed(answer: httpx.Response) -> set[str]:
    """Read the fields from the server's Status; what is not about a field of the document is left out."""
    if answer.is_success:
        return set()
    status = answer.json()
    causes = status.get("details", {}).get("causes", [])
    fields = {cause["field"] for cause in causes if not cause["field"].startswith((".", "<"))}
    unknown = set(re.findall(r'unknown field "([^"]+)"', status["message"]))
    heads = {field for words, field in _HEADS if words in status["message"]}
    blamed = fields | unknown | heads
    if not blamed:
        raise AssertionError(f"a refusal that blames no field: {status}")
    return blamed
