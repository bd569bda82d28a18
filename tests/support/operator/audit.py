"""What the operator asked of the API server, from the API server's own audit log, beside what it was granted."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from kato_operator.cluster.rules import Rule
from tests.support.cluster.local import LocalCluster

CREDENTIAL = "authentication.kubernetes.io/credential-id"
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `resource` with its subresource, `at` in seconds since the epoch, when it was received.

    `message` is what the API server said to one that it refused.
    """

    verb: str
    group: str
    resource: str
    name: str
    code: int
    message: str
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
        message=event.get("responseStatus", {}).get("message", ""),
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(),
    )


# A resource, by group and name, and what may be done with it.
Grant = tuple[str, str, str]
HIDDEN: frozenset[Grant] = frozenset(
    {
        # Asked for by admission (OwnerReferencesPermissionEnforcement) before a child may block its owner: no request.
        ("kato.dev", "katoprocessors/finalizers", "update"),
    }
)


def granted(*rules: Rule) -> set[Grant]:
    """Return what rules grant and a request can show."""
    found = {(rule.group, resource, verb) for rule in rules for resource in rule.resources for verb in rule.verbs}
    return found - HIDDEN


def used(asked: Iterable[Request]) -> set[Grant]:
    """Return what was done, as grants; an apply that makes an object needs the right to create, too."""
    done = [request for request in asked if request.code < 400 or request.code == 404]  # nothing there: an answer too
    found = {(item.group, item.resource, item.verb) for item in done}
    return found | {(item.group, item.resource, "create") for item in done if item.code == 201}


def forbidden(asked: Iterable[Request]) -> list[Request]:
    """Return the requests for which a right was missing; in a namespace that goes, no one may make anything."""
    return [request for request in asked if request.code == 403 and "being terminated" not in request.message]


def described(grants: Iterable[Grant]) -> str:
    """Return an audit of permissions for people: a line for each resource, with its verbs."""
    verbs: defaultdict[str, list[str]] = defaultdict(list)
    for group, resource, verb in sorted(grants):
        verbs[f"{group or 'core'}/{resource}"].append(verb)
    return "\n".join(f"{resource}: {' '.join(found)}" for resource, found in sorted(verbs.items()))


def claims(token: str) -> dict[str, str]:
    """Return what a service account's token says of itself."""
    body = token.split(".")[1]
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found
