"""The KatoProcessors of one namespace: made, listed, waited for until Ready, suspended, and their pods' logs.

Called by `kato_cli.remote`. Plain JSON over HTTP, as everywhere in the operator.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any

import httpx

from kato_operator.desired.kinds import PROCESSOR, Manifest
from kato_operator.desired.names import PROCESSOR_LABEL
from kato_operator.remote.kubeconfig import Connection
from kato_spec.errors import KatoError, Rejected, Transient
from kato_spec.keys import child_name

READY_SECONDS = 300.0
_POLL_SECONDS = 0.5
_TIMEOUT = 30.0
_PAGE = "500"
_MERGE = {"Content-Type": "application/merge-patch+json"}


class Refused(Rejected):
    """The API server refuses; the message is its own."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__("request", status, "what the API server accepts")
        self.args = (message,)
        self.status = status


class UnknownProcessor(Rejected):
    """No KatoProcessor of this name is in the namespace; the message lists those that are."""

    def __init__(self, name: str, namespace: str, there: list[str]) -> None:
        super().__init__("name", name, "a KatoProcessor")
        self.args = (f"no KatoProcessor {name!r} in namespace {namespace}; there is: {', '.join(there) or 'none'}",)


class NotReady(Transient):
    """It did not become Ready in time; the message carries its condition's words."""


class Processors:
    """The KatoProcessors of the connection's namespace. Use it as a context manager."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._path = f"/apis/{PROCESSOR.api_version}/namespaces/{connection.namespace}/{PROCESSOR.plural}"
        headers = {"Authorization": connection.authorization} if connection.authorization else {}
        self._http = httpx.Client(base_url=connection.server, headers=headers, verify=connection.tls, timeout=_TIMEOUT)

    def __enter__(self) -> Processors:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def listing(self) -> list[Manifest]:
        """Return all of them, by name."""
        found: list[Manifest] = []
        query = {"limit": _PAGE}
        while True:
            page = self._call("GET", self._path, params=query).json()
            found += page["items"]
            if not page["metadata"].get("continue"):
                return sorted(found, key=lambda one: str(one["metadata"]["name"]))
            query["continue"] = page["metadata"]["continue"]

    def find(self, reference: str) -> Manifest:
        """Return the one whose name or display name this is.

        Raises:
            UnknownProcessor: there is none, or several have that display name.
        """
        every = self.listing()
        named = [one for one in every if one["metadata"]["name"] == reference]
        named = named or [one for one in every if one["spec"].get("displayName") == reference]
        if len(named) != 1:
            raise UnknownProcessor(reference, self.connection.namespace, [one["metadata"]["name"] for one in every])
        return named[0]

    def start(self, name: str, spec: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        """Create one; one that is suspended is woken instead, and keeps what `spec` does not name.

        Raises:
            Refused: one of that name runs already, or a field is wrong; the message says which.
        """
        metadata = {"name": name, "namespace": self.connection.namespace}
        try:
            self._call("POST", self._path, json=PROCESSOR.manifest(metadata, spec={**defaults, **spec}))
        except Refused as refused:
            if refused.status != HTTPStatus.CONFLICT or not self._get(name)["spec"].get("suspend"):
                raise
            self._patch(name, {**spec, "suspend": False})

    def suspend(self, name: str) -> None:
        """Scale one to nothing; memory and sessions stay."""
        self._patch(name, {"suspend": True})

    def wait(self, name: str, tell: Callable[[str], None], seconds: float = READY_SECONDS) -> Manifest:
        """Return it as soon as it is Ready; `tell` hears what keeps it from it, each time that changes.

        Raises:
            NotReady: not within `seconds`.
        """
        deadline, said = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            found = self._get(name)
            ready = condition(found, "Ready")
            if ready.get("status") == "True" and ready.get("observedGeneration") == found["metadata"]["generation"]:
                return found
            words = f"{ready.get('reason', 'waiting for the operator')}: {ready.get('message', '')}".rstrip(": ")
            if words != said:
                tell(words)
                said = words
            time.sleep(_POLL_SECONDS)
        raise NotReady(f"{name} is not Ready after {seconds:g} s: {said}; `kubectl describe kproc {name}` says more")

    def logs(self, name: str, *, follow: bool, tail: int | None) -> Iterator[str]:
        """Yield the lines of its pods' logs; a followed log is that of the newest pod."""
        core = f"/api/v1/namespaces/{self.connection.namespace}/pods"
        pods = self._call("GET", core, params={"labelSelector": f"{PROCESSOR_LABEL}={name}"}).json()["items"]
        pods.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        query = {"follow": str(follow).lower()} | ({} if tail is None else {"tailLines": str(tail)})
        for pod in pods[-1:] if follow else pods:
            path = f"{core}/{pod['metadata']['name']}/log"
            try:
                with self._http.stream("GET", path, params=query, timeout=None) as response:
                    if response.is_error:
                        response.read()
                        raise _refusal(response)
                    yield from response.iter_lines()
            except httpx.TransportError as error:
                raise self._unreachable(error) from error

    def api(self, processor: Manifest) -> str:
        """Return the address of a processor's API, through the API server's proxy to its Service."""
        service = f"http:{child_name(processor['metadata']['name'])}:{processor['spec'].get('port', 8000)}"
        return f"{self.connection.server}/api/v1/namespaces/{self.connection.namespace}/services/{service}/proxy"

    def _get(self, name: str) -> Manifest:
        found: Manifest = self._call("GET", f"{self._path}/{name}").json()
        return found

    def _patch(self, name: str, spec: Mapping[str, Any]) -> None:
        self._call("PATCH", f"{self._path}/{name}", json={"spec": spec}, headers=_MERGE)

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own arguments
        try:
            response = self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _refusal(response)
        return response

    def _unreachable(self, error: httpx.TransportError) -> Transient:
        return Transient(f"no answer from the cluster at {self.connection.server}: {error or type(error).__name__}")


def condition(processor: Manifest, kind: str) -> Mapping[str, Any]:
    """Return a condition of the status, an empty one while it is not there."""
    conditions = processor.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == kind), {})


def _refusal(response: httpx.Response) -> KatoError:
    try:
        message = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = response.text.strip()[:500]
    if response.status_code == HTTPStatus.NOT_FOUND and "page not found" in message:
        return Refused(
            "this cluster has no KatoProcessors: install the chart kato-operator first", response.status_code
        )
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        message = "the cluster does not know you: renew the credentials of your kubeconfig"
    return Refused(message, response.status_code)
