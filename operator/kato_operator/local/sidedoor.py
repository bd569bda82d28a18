"""The side door of a running instance: its parameters and declared sessions go in, its state comes back.

Called by `machine` (spec: operator.md, "How the operator and the service speak"). The same records as on a cluster.
"""

from __future__ import annotations

import ssl
from types import TracebackType

import httpx
from pydantic import BaseModel, ValidationError

from kato_operator.local.registry import Instance
from kato_spec.errors import Rejected, Transient
from kato_spec.records import DeclarationRecord, ParametersRecord, StateRecord

_SECONDS = 10.0
# Plain HTTP on the loopback address: reading the machine's certificates would take longer than all the rest.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Refused(Rejected):
    """The instance will not have it; the message carries its own words."""

    def __init__(self, instance_id: str, response: httpx.Response) -> None:
        super().__init__(instance_id, response.status_code, "what its side door accepts")
        self.args = (
            f"{instance_id} refused {response.request.method} {response.request.url.path}: {_words(response)}",
        )


class SideDoor:
    """Speaks to one instance. Use it as a context manager.

    Every call raises `Transient` when the instance does not answer, `Rejected` when it refuses.
    """

    def __init__(self, instance_id: str, instance: Instance, token: str, *, seconds: float = _SECONDS) -> None:
        self._id = instance_id
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{instance.internal_port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=seconds,
            trust_env=False,
            verify=_NO_TLS,
        )

    def __enter__(self) -> SideDoor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def state(self) -> StateRecord:
        """Return what the instance says of itself."""
        content = self._call("GET", "/internal/state").content
        try:
            return StateRecord.model_validate_json(content)
        except ValidationError as error:
            raise Rejected(f"{self._id} /internal/state", content[:80], "a state record") from error

    def configure(self, record: ParametersRecord) -> None:
        """Make `record` the configuration; it is live when this returns."""
        self._call("PUT", "/internal/parameters", record)

    def declare(self, record: DeclarationRecord) -> None:
        """Make the declared session exist as `record` says; it is usable when this returns."""
        self._call("PUT", f"/internal/declarations/{record.uid}", record)

    def undeclare(self, uid: str) -> None:
        """Delete the declared session; one that is gone already is well."""
        self._call("DELETE", f"/internal/declarations/{uid}", gone_is_well=True)

    def _call(
        self, method: str, path: str, record: BaseModel | None = None, *, gone_is_well: bool = False
    ) -> httpx.Response:
        body = None if record is None else record.model_dump(mode="json")
        try:
            response = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise Transient(f"{self._id} does not answer ({error}): see `kato logs {self._id}`") from error
        if response.status_code == httpx.codes.NOT_FOUND and gone_is_well:
            return response
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise Transient(f"{self._id} is not ready: {response.text[:200]}")
        if response.is_error:
            raise Refused(self._id, response)
        return response


def _words(response: httpx.Response) -> str:
    """Return what the service says about an error, whatever shape it has."""
    try:
        content = response.json()
    except ValueError:
        content = response.text[:500]
    return str(content.get("detail", content) if isinstance(content, dict) else content)
