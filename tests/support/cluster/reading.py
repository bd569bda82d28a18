"""What `kubectl get` shows, read over one connection: a wait that started a process for each look would take a CPU.

Called by `cluster` for whoever waits for objects. Kinds are named as for kubectl: by plural, singular, short name, or
`plural.group`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.support.cluster.errors import ClusterError

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

Json = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """Where objects of one kind are served."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the path of one object, or of all in a namespace, or everywhere."""
        scope = ("namespaces", namespace) if self.namespaced and namespace else ()
        return "/".join([self.prefix, *scope, self.plural, *filter(None, (name,))])


class Reader:
    """The objects of a kubeconfig's cluster; `entered` moves a thread to where that is reached."""

    def __init__(self, kubeconfig: Path, entered: Callable[[], AbstractContextManager[None]]) -> None:
        from kubernetes import config  # noqa: PLC0415 - takes a third of a second, for the tests on a cluster alone

        self._client = config.new_client_from_config(str(kubeconfig), persist_config=False)
        self._entered = entered
        self._resources: Mapping[str, Resource] = {}

    def get(self, namespace: str | None, reference: str) -> Json:
        """Return an object such as `deployment/name`; ClusterError when it is not there."""
        found = self.find(namespace, reference)
        if found is None:
            raise ClusterError(f"there is no {reference} in {namespace}")
        return found

    def find(self, namespace: str | None, reference: str) -> Json | None:
        """Return an object, None when it is not there."""
        kind, _, name = reference.partition("/")
        found = self._read(self._resource(kind).path(namespace, name))
        return None if found is None else _shown(found)

    def listing(self, namespace: str | None, kinds: str, selector: str = "") -> list[Json]:
        """Return the objects of some kinds, such as `pods,services`, whose labels a selector picks."""
        query = [("labelSelector", selector)] if selector else []
        found = [self._read(self._resource(kind).path(namespace), query) for kind in kinds.split(",")]
        return [_shown(_of_list(item, listed)) for listed in found if listed for item in listed["items"]]

    def _resource(self, kind: str) -> Resource:
        """Return where a kind is served; what is not known may have been installed since."""
        if kind not in self._resources:
            found: dict[str, Resource] = {}
            for root in ("/api", "/apis"):
                for names, resource in _served(root, self._read(root, accept=DISCOVERY) or {"items": []}):
                    found |= {name: resource for name in names if name not in found}
            self._resources = found
        if kind not in self._resources:
            raise ClusterError(f"the cluster serves no {kind}")
        return self._resources[kind]

    def _read(self, path: str, query: Sequence[tuple[str, str]] = (), accept: str = "application/json") -> Json | None:
        """Return the answer to a GET, None when there is no such thing."""
        request = self._client.param_serialize(
            "GET", path, query_params=list(query), header_params={"Accept": accept}, auth_settings=["BearerToken"]
        )
        with self._entered():
            answer = self._client.call_api(*request, _request_timeout=30)
            text = answer.read()
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise ClusterError(f"GET {path}: {answer.status} {text!r}")
        found: Json = json.loads(text)
        return found


def _served(root: str, discovered: Json) -> Iterator[tuple[list[str], Resource]]:
    """Yield every resource of a discovery document with the names that it goes by, preferred versions first."""
    for group in discovered["items"]:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            prefix = "/".join(filter(None, (root, name, version["version"])))
            for resource in version["resources"]:
                plural = resource["resource"]
                names = [
                    plural,
                    resource.get("singularResource", ""),
                    *resource.get("shortNames", ()),
                    f"{plural}.{name}",
                ]
                yield names, Resource(prefix, plural, resource["scope"] == "Namespaced")


def _of_list(item: Json, listed: Json) -> Json:
    """Return an item of a list with the kind that it has by itself."""
    return {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List"), **item}


def _shown(found: Json) -> Json:
    """Leave out what kubectl shows on demand alone."""
    found["metadata"].pop("managedFields", None)
    return found
