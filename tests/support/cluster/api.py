"""A small client of the API server for the harness itself: JSON in, JSON out, over one connection.

It speaks from wherever the calling thread is, so a caller outside the box enters it first (`Box.entered`).
"""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.cluster.errors import ClusterError

Json = dict[str, Any]


class Api:
    """The API server of a kubeconfig, as the user the kubeconfig names."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        token = config["users"][0]["user"]["token"]
        self.http = httpx.Client(
            base_url=cluster["server"],
            headers={"Authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cadata=authority),
            trust_env=False,
            timeout=60,
        )

    def ready(self) -> bool:
        """Say whether the API server calls itself ready."""
        try:
            return self.http.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def get(self, path: str) -> Json | None:
        """Return an object or a list, None when it is not there."""
        answer = self.http.get(path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return checked(answer)

    def create(self, path: str, body: Json) -> bool:
        """Create an object; False when one of that name is there."""
        answer = self.http.post(path, json=body)
        if answer.status_code == httpx.codes.CONFLICT:
            return False
        checked(answer)
        return True

    def delete(self, path: str) -> None:
        """Delete an object; one that is not there is no error."""
        answer = self.http.delete(path)
        if answer.status_code != httpx.codes.NOT_FOUND:
            checked(answer)


def checked(answer: httpx.Response) -> Json:
    """Return an answer's JSON, ClusterError when the API server refused."""
    if answer.is_error:
        raise ClusterError(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}")
    body: Json = answer.json()
    return body
