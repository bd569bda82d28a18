"""Requests to the API server as plain JSON, on the configuration and connection pool of `kubernetes.aio`.

Used by `kube` and `lease`. Plain JSON, because manifests are dicts everywhere in the operator and the client's models
would cost more time than the request.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from kato_operator.cluster.errors import error_of
from kato_operator.desired.names import FIELD_MANAGER
from kato_spec.errors import Transient

SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
TIMEOUT_SECONDS = 15.0

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
PATCH = "application/json-patch+json"


async def connect() -> Rest:
    """Return a connection to the API server: that of KUBECONFIG where it is set, else of the pod's service account.

    Raises:
        Transient: neither is there.
    """
    configuration = Configuration()
    try:
        file = os.environ.get("KUBECONFIG")
        if file is None and _in_a_pod():
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(config_file=file, client_configuration=configuration)
    except config.ConfigException as error:
        raise Transient(f"no way to reach a cluster: {error}; set KUBECONFIG or run in a pod") from error
    # aiohttp would look for a proxy in the environment before each request, and in a thread: that is done once here.
    configuration.proxy = configuration.proxy or _proxy_to(configuration.host)
    configuration.client_session_kwargs = {"trust_env": False}
    return Rest(ApiClient(configuration))


def _proxy_to(server: str) -> str | None:
    """Return the proxy that the environment names for a server, or None."""
    url = urlsplit(server)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


def _in_a_pod() -> bool:
    """Say whether a service account's token is mounted."""
    return SERVICE_ACCOUNT_TOKEN.exists()


class Rest:
    """One connection pool to one API server."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def credentials(self) -> dict[str, Any]:
        """Return how this connection is made, for a client that is not ours; a rotated token is read anew."""
        configuration, headers = self._client.configuration, dict[str, str]()
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], "/", "GET", None)
        return {
            "server": configuration.host,
            "ca_path": configuration.ssl_ca_cert,
            "ca_data": configuration.ca_cert_data,
            "insecure": not configuration.verify_ssl,
            "certificate_path": configuration.cert_file,
            "private_key_path": configuration.key_file,
            "token": headers.get("authorization", "").partition(" ")[2] or None,
        }

    async def read(
        self, path: str, query: Mapping[str, str] | None = None, *, accept: str = JSON
    ) -> dict[str, Any] | None:
        """Return what is at `path`, or None when there is nothing.

        Raises:
            KatoError: as `kato_operator.cluster.errors` says.
        """
        status, answer, retry_after = await self._request("GET", path, query, None, JSON, accept, TIMEOUT_SECONDS)
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status >= HTTPStatus.BAD_REQUEST:
            raise error_of(status, f"GET {path}", answer, retry_after)
        return answer

    async def write(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Any],
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        time_left: float = TIMEOUT_SECONDS,
    ) -> dict[str, Any]:
        """Send `body` and return the answer; the request ends within `time_left` seconds.

        Raises:
            KatoError: as `kato_operator.cluster.errors` says; nothing at `path` is a `Transient` too.
        """
        timeout = min(time_left, TIMEOUT_SECONDS)
        status, answer, retry_after = await self._request(method, path, query, body, content_type, JSON, timeout)
        if status >= HTTPStatus.BAD_REQUEST:
            raise error_of(status, f"{method} {path}", answer, retry_after)
        return answer

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | Sequence[Any] | None,
        content_type: str,
        accept: str,
        seconds: float,
    ) -> tuple[int, dict[str, Any], str | None]:
        """Send one request and return status, answer and `Retry-After`."""
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": FIELD_MANAGER}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        try:
            async with asyncio.timeout(seconds):
                response = await self._client.rest_client.request(method, url, headers=headers, body=body)
                data = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{method} {path}: {type(error).__name__} {error}") from error
        return response.status, _answer(data), response.headers.get("Retry-After")


def _answer(data: bytes) -> dict[str, Any]:
    """Return the JSON of an answer; a proxy's page on the way is as good as its status."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {"message": data[:200].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {"message": str(answer)}
