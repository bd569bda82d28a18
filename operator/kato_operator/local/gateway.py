"""One port for every instance of this machine: `/processor-1/observe` reaches processor-1.

Called by `kato gateway` (spec: cli.md). Server and client are aiohttp's; bodies and WebSocket messages go
through as they come, and nothing is kept. `whereabouts` knows who listens where.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable
from errno import EADDRINUSE, EADDRNOTAVAIL
from http import HTTPStatus

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from kato_operator.local.ports import holder_of
from kato_operator.local.registry import Instance
from kato_operator.local.websockets import relay, wants_websocket
from kato_operator.local.whereabouts import Whereabouts
from kato_spec.errors import Rejected

_CONNECT_SECONDS = 5.0
# Shorter than the service keeps an idle connection (75 s), so that none is closed under a request.
_IDLE_SECONDS = 30.0
_END_SECONDS = 5.0
_OF_ONE_CONNECTION = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
# Bodies go through as they are: what was compressed stays so, and no header is made up.
_CLIENT_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class Gateway:
    """The handler of every request. Use it as an asynchronous context manager."""

    def __init__(self, whereabouts: Whereabouts) -> None:
        self._whereabouts = whereabouts

    async def __aenter__(self) -> Gateway:
        self._http = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            timeout=ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            skip_auto_headers=_CLIENT_HEADERS,
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.close()

    def application(self) -> web.Application:
        """Return the application that answers every path by this gateway."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.answer)
        return application

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on to the instance that its path names, and its answer back."""
        instance_id, path = _split(request)
        instances = await self._whereabouts.now()
        if not instance_id:
            return web.json_response(_account(instances))
        if instance_id not in instances:
            return _unknown(request, instance_id, instances)
        url = URL(instances[instance_id].url + path, encoded=True)
        try:
            if wants_websocket(request):
                return await relay(request, self._http, url, _forwarded(request))
            return await self._pass_on(request, url)
        except ClientConnectorError:
            return await self._unanswered(request, instance_id)
        except ClientError as error:
            message = (
                f"{instance_id} ended the connection ({error or type(error).__name__}): see `kato logs {instance_id}`"
            )
            return _error(request, HTTPStatus.BAD_GATEWAY, "NO_ANSWER", message)

    async def _pass_on(self, request: web.Request, url: URL) -> web.StreamResponse:
        body = request.content if request.can_read_body else None
        async with self._http.request(
            request.method, url, headers=_forwarded(request), data=body, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=_of_message(answer.headers)
            )
            await response.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            except ClientError:
                # Part of the answer is sent: only a connection that breaks off tells the caller that it is not whole.
                if request.transport:
                    request.transport.abort()
            return response

    async def _unanswered(self, request: web.Request, instance_id: str) -> web.Response:
        """Say why nobody listens: the instance is gone, is being stopped, or hangs."""
        instances = await self._whereabouts.checked()
        if instance_id not in instances:
            return _unknown(request, instance_id, instances)
        message = (
            f"{instance_id} is {instances[instance_id].status}, but does not answer: see `kato logs {instance_id}`"
        )
        return _error(request, HTTPStatus.SERVICE_UNAVAILABLE, "NO_ANSWER", message, headers={"Retry-After": "1"})


def run(whereabouts: Whereabouts, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; `ready` is told the gateway's address once it answers.

    Raises:
        Rejected: the port is taken, or the address is not this machine's.
    """
    try:
        import uvloop  # noqa: PLC0415 - comes with the service, and twice as fast
    except ModuleNotFoundError:
        asyncio.run(_serve(whereabouts, host, port, ready))
    else:
        uvloop.run(_serve(whereabouts, host, port, ready))


async def _serve(whereabouts: Whereabouts, host: str, port: int, ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Gateway(whereabouts) as gateway:
        runner = web.AppRunner(
            gateway.application(), access_log=None, handler_cancellation=True, shutdown_timeout=_END_SECONDS
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            await _listen(site, host, port)
            bound = runner.addresses[0][1]
            ready(f"http://{f'[{host}]' if ':' in host else host}:{bound}")
            await stop.wait()
        finally:
            await runner.cleanup()


async def _listen(site: web.TCPSite, host: str, port: int) -> None:
    try:
        await site.start()
    except OSError as error:
        if error.errno == EADDRINUSE:
            raise Rejected("--port", port, f"a free port; {holder_of(port)} has this one") from error
        if error.errno == EADDRNOTAVAIL or error.errno is None or error.errno < 0:
            raise Rejected("--host", host, "an address of this machine, such as 127.0.0.1 or 0.0.0.0") from error
        raise Rejected("--port", port, "a port that this user may open, such as 8000") from error


def _split(request: web.Request) -> tuple[str, str]:
    """Return whose path it is and the path as that instance knows it; the ID is empty for the gateway's own paths.

    `/sessions/{processor}.{random}/...` needs no prefix: a session's ID begins with its processor's.
    """
    path, question, query = request.raw_path.partition("?")
    first, _, rest = path[1:].partition("/")
    if first == "sessions" and "." in rest:
        return rest.partition(".")[0], request.raw_path
    if path in {"/", "/ping"}:
        return "", path
    return first, f"/{rest}{question}{query}"


def _forwarded(request: web.Request) -> CIMultiDict[str]:
    """Return the request's headers as the instance gets them: who asked, and by which address."""
    headers = _of_message(request.headers)
    for name in ("Host", "Expect"):
        headers.popall(name, None)
    before = headers.get("X-Forwarded-For")
    headers["X-Forwarded-For"] = f"{before}, {request.remote}" if before else str(request.remote)
    headers.setdefault("X-Forwarded-Host", request.host)
    headers.setdefault("X-Forwarded-Proto", request.scheme)
    return headers


def _of_message(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return the headers that belong to the message, without those of the connection it came by."""
    named = {name.strip().lower() for value in headers.getall("Connection", ()) for name in value.split(",")}
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _OF_ONE_CONNECTION | named
    )


def _account(instances: dict[str, Instance]) -> dict[str, object]:
    processors = {key: {"name": entry.name, "path": f"/{key}/"} for key, entry in sorted(instances.items())}
    return {"status": "okay", "service": "kato gateway", "processors": processors}


def _unknown(request: web.Request, instance_id: str, instances: dict[str, Instance]) -> web.Response:
    runs = sorted(instances)
    message = f"no processor {instance_id!r} runs here; what runs: {', '.join(runs) or 'nothing'}"
    return _error(request, HTTPStatus.NOT_FOUND, "PROCESSOR_NOT_FOUND", message, processors=runs)


def _error(
    request: web.Request,
    status: HTTPStatus,
    code: str,
    message: str,
    *,
    headers: dict[str, str] | None = None,
    **fields: object,
) -> web.Response:
    """Answer an error in the service's one shape (service.md, "Errors")."""
    request_id = request.headers.get("X-Request-ID") or secrets.token_hex(8)
    body = {"detail": message, "error": {"code": code, "message": message, **fields}, "request_id": request_id}
    return web.json_response(body, status=status, headers={**(headers or {}), "X-Request-ID": request_id})
