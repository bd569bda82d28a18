"""The side door of a running instance: its parameters and declared sessions go in, its state comes back.

Called by `machine` (spec: operator.md, "How the operator and the service speak"). The same records as on a cluster.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from pydantic import BaseModel, ValidationError

from kato_operator.local.registry import Instance
from kato_spec.errors import Rejected, Transient
from kato_spec.records import DeclarationRecord, ParametersRecord, StateRecord

_SECONDS = 10.0


class Refused(Rejected):
    """The instance will not have it; the message carries its own words."""

    def __init__(self, instance_id: str, call: str, status: int, content: bytes) -> None:
        super().__init__(instance_id, status, "what its side door accepts")
        self.args = (f"{instance_id} refused {call}: {_words(content)}",)


class SideDoor:
    """Speaks to one instance, by the standard library's HTTP: every start and listing would wait for a larger one.

    Every call raises `Transient` when the instance does not answer within `seconds`, `Refused` when it says no.
    """

    def __init__(self, instance_id: str, instance: Instance, token: str, *, seconds: float = _SECONDS) -> None:
        self._id = instance_id
        self._port = instance.internal_port
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._seconds = seconds

    def state(self) -> StateRecord:
        """Return what the instance says of itself.

        It refuses nobody who knows its token: who answers otherwise is another program that has its port.
        """
        try:
            return StateRecord.model_validate_json(self._call("GET", "/internal/state"))
        except (Refused, ValidationError) as error:
            message = f"another program answers on port {self._port} of {self._id}: see `kato logs {self._id}`"
            raise Transient(message) from error

    def configure(self, record: ParametersRecord) -> None:
        """Make `record` the configuration; it is live when this returns."""
        self._call("PUT", "/internal/parameters", record)

    def declare(self, record: DeclarationRecord) -> None:
        """Make the declared session exist as `record` says; it is usable when this returns."""
        self._call("PUT", f"/internal/declarations/{record.uid}", record)

    def undeclare(self, uid: str) -> None:
        """Delete the declared session; one that is gone already is well."""
        self._call("DELETE", f"/internal/declarations/{uid}", gone_is_well=True)

    def _call(self, method: str, path: str, record: BaseModel | None = None, *, gone_is_well: bool = False) -> bytes:
        """Return what is answered, on a connection for this call alone: one that idles may be closed at any time."""
        body = None if record is None else record.model_dump_json()
        connection = HTTPConnection("127.0.0.1", self._port, timeout=self._seconds)
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, HTTPException) as error:
            raise Transient(f"{self._id} does not answer ({error}): see `kato logs {self._id}`") from error
        finally:
            connection.close()
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise Transient(f"{self._id} is not ready: {content[:200].decode(errors='replace')}")
        if status >= HTTPStatus.BAD_REQUEST and not (status == HTTPStatus.NOT_FOUND and gone_is_well):
            raise Refused(self._id, f"{method} {path}", status, content)
        return content


def _words(content: bytes) -> str:
    """Return what the service says about an error, whatever shape it has."""
    try:
        found = json.loads(content)
    except ValueError:
        found = content[:500].decode(errors="replace")
    return str(found.get("detail", found) if isinstance(found, dict) else found)
