"""What the operator asked of the API server, from the API server's own audit log."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tests.support.cluster.local import LocalCluster

CREDENTIAL = "authentication.kubernetes.io/credential-id"
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `resource` with its subresource, `at` in seconds since the epoch, when it was received."""

    verb: str
    group: str
    resource: str
    name: str
    code: int
    at: float

    @property
    def writes(self) -> bool:
        """Whether it asked for a change."""
        return self.verb in WRITES


def requests(cluster: LocalCluster, *, user: str | None = None, token: str | None = None) -> Iterator[Request]:
    """Yield the requests of a user, or of the bearer of one token of a service account, in the order of the log."""
    credential = f"JTI={claims(token)['jti']}" if token else None
    for event in cluster.audit():
        if user is not None and event["user"]["username"] != user:
            continue
        if credential is not None and event["user"].get("extra", {}).get(CREDENTIAL) != [credential]:
            continue
        if "objectRef" in event:
            yield request_of(event)


def request_of(event: dict) -> Request:  # type: ignore[type-arg] # audit.k8s.io/v1, as JSON
    """Return the request that an event of the log tells of."""
    about = event["objectRef"]
    return Request(
        verb=event["verb"],
        group=about.get("apiGroup", ""),
        resource="/".join(filter(None, (about["resource"], about.get("subresource")))),
        name=about.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(),
    )


def claims(token: str) -> dict[str, str]:
    """Return what a service account's token says of itself."""
    body = token.split(".")[1]
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found
