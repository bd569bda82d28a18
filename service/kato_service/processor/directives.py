"""What the operator has written into the store: taken up by every replica, whatever order they come in.

Called by the processor's housekeeping and when the operator wakes the replicas (operator.md, "How the operator and the
service speak"). A record that cannot be taken up is said once and stays without effect until it changes.
"""

from __future__ import annotations

import structlog
from pydantic import ValidationError

from kato_service.processor import ports
from kato_service.processor.declarations import Declarations
from kato_service.processor.errors import DeclarationNotFound, InvalidRecord
from kato_service.processor.parameters import LiveParameters
from kato_spec.errors import Rejected
from kato_spec.parameters import InvalidParameters
from kato_spec.records import DeclarationRecord

log = structlog.get_logger()


class Directives:
    """The operator's records in the store; none where it speaks by the side door alone."""

    def __init__(self, store: ports.Directives | None, parameters: LiveParameters, declarations: Declarations) -> None:
        self._store = store
        self._parameters, self._declarations = parameters, declarations
        self._refused: str | None = None

    async def take_up(self) -> None:
        """Bring parameters and declared sessions to what is written."""
        await self._take_parameters()
        if self._store is None:
            return
        for uid, record in await self._store.changes():
            try:
                await self._take(uid, record)
            except (Rejected, InvalidParameters) as error:
                log.warning("declaration_refused", uid=uid, error=str(error))
            await self._store.taken(uid, record)

    async def _take_parameters(self) -> None:
        try:
            await self._parameters.load()
        except (Rejected, InvalidParameters) as error:
            if str(error) != self._refused:
                log.warning("parameters_refused", error=str(error))
            self._refused = str(error)
        else:
            self._refused = None

    async def _take(self, uid: str, written: bytes) -> None:
        if not written:
            try:
                await self._declarations.withdraw(uid)
            except DeclarationNotFound:
                log.debug("declaration_gone", uid=uid)
            return
        try:
            record = DeclarationRecord.model_validate_json(written)
        except ValidationError as error:
            raise InvalidRecord("declaration", uid, str(error.errors()[0]["msg"])) from error
        if record.uid != uid:
            raise InvalidRecord("uid", record.uid, f"{uid!r}, which its key names")
        await self._declarations.put(record)
