"""The `Sessions` port by the internal API of each pod: how processors are told and asked, whatever their storage.

Called by `reconcile`. Every write goes past the fence, as those to the cluster do (spec: operator.md, "How the
operator and the service speak"). On external storage the pod that is told writes the Redis key and wakes the others:
docs/architecture.md says why the operator does not do so itself.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from pydantic import ValidationError

from kato_operator.reconcile.fence import Fence
from kato_operator.reconcile.ports import Conflict, PodAddress, Refused, StoreAway
from kato_spec.errors import Transient
from kato_spec.records import DeclarationRecord, DeclaredSession, ParametersRecord, StateRecord

Answer = TypeVar("Answer", StateRecord, DeclaredSession)

TIMEOUT_SECONDS = 5.0
# The error code of a pod whose store is away, and what the message begins with; all else in it may be an address.
STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
STORES = ("MongoDB", "Redis")
FOR_GOOD = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})


class InternalApi:
    """Requests to the pods at `port`, over one connection pool."""

    def __init__(self, fence: Fence, port: int) -> None:
        self._fence = fence
        self._port = port
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, connect=2))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def state(self, pod: PodAddress) -> StateRecord:
        """See the port."""
        return _parsed(StateRecord, pod, await self._request("GET", pod, "state"))

    async def tell_parameters(self, pod: PodAddress, record: ParametersRecord) -> None:
        """See the port."""
        await self._write("PUT", pod, "parameters", record.model_dump(mode="json"))

    async def declare(self, pod: PodAddress, record: DeclarationRecord) -> DeclaredSession:
        """See the port."""
        answer = await self._write("PUT", pod, f"declarations/{record.uid}", record.model_dump(mode="json"))
        return _parsed(DeclaredSession, pod, answer)

    async def withdraw(self, pod: PodAddress, uid: str) -> None:
        """See the port."""
        await self._write("DELETE", pod, f"declarations/{uid}", None, missing_is_fine=True)

    async def _write(
        self, method: str, pod: PodAddress, what: str, body: object, *, missing_is_fine: bool = False
    ) -> bytes:
        """Write past the fence, and end before it closes."""
        left = self._fence.time_left()
        try:
            async with asyncio.timeout(left):
                return await self._request(method, pod, what, body, missing_is_fine=missing_is_fine)
        except TimeoutError as error:
            raise Transient(f"pod {pod.name}: no answer while the lease holds") from error

    async def _request(
        self, method: str, pod: PodAddress, what: str, body: object = None, *, missing_is_fine: bool = False
    ) -> bytes:
        """Send one request and return the answer as it came; nothing, where what is missing is fine."""
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        url = f"http://{host}:{self._port}/internal/{what}"
        headers = {"Authorization": f"Bearer {pod.token}"}
        try:
            async with self._http.request(method, url, json=body, headers=headers) as response:
                if response.status < HTTPStatus.BAD_REQUEST:
                    return await response.read()
                if response.status == HTTPStatus.NOT_FOUND and missing_is_fine:
                    return b""
                raise refusal(pod, response.status, await response.text(errors="replace"))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Transient(f"pod {pod.name} does not answer: {type(error).__name__} {error}") from error


def refusal(pod: PodAddress, status: int, text: str) -> Exception:
    """Return the error that a pod's refusal is."""
    said = f"{status} {text[:300]}"
    if status == HTTPStatus.CONFLICT:
        return Conflict(f"pod {pod.name}: {said}")
    if status == HTTPStatus.SERVICE_UNAVAILABLE and STORE_UNAVAILABLE in text:
        return StoreAway(pod.name, next((store for store in STORES if store in text), "its store"))
    if status in FOR_GOOD:
        return Refused(f"pod {pod.name}", "RefusedByProcessor", said)
    return Transient(f"pod {pod.name}: {said}")


def _parsed(model: type[Answer], pod: PodAddress, answer: bytes) -> Answer:
    """Return the answer as a record, ten thousand sessions and all; a pod of another version may speak otherwise."""
    try:
        return model.model_validate_json(answer)
    except ValidationError as error:
        raise Transient(
            f"pod {pod.name} answers what is no {model.__name__}: {error.error_count()} problems"
        ) from error
