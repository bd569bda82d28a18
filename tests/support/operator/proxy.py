"""A faulty way to the API server: `python -m tests.support.operator.proxy KUBECONFIG PORT_FILE`.

Stands between one operator and the API server, passes everything on, and does harm as it is told by `PUT /faults`
(a `Faults` as JSON). `GET /faults` tells what it has seen. Started by `Proxy` of `faulty.py`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import ssl
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from aiohttp import web

STATUSES: Final = (409, 429, 500, 503)
REASONS: Final = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}
HOP_BY_HOP: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-encoding"})
FOR_EVER: Final = 3600.0
TIMEOUT: Final = aiohttp.ClientTimeout(total=None)
EXPIRED: Final = {
    "type": "ERROR",
    "object": {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old"},
}


@dataclass
class Faults:
    """What goes wrong now.

    `share` of the requests fail, half of them after the API server has done what was asked; `mode` is `pass`, `away`
    (connections break at once), `lost` (nothing is ever answered) or `blind` (watches show nothing); watches that are
    open end whenever `watches` changes, with an expired version where it is `expired`.
    """

    share: float = 0.0
    mode: str = "pass"
    watches: str = ""


@dataclass
class Faulty:
    """The proxy: where it leads to, what goes wrong, and what it has seen."""

    server: str
    upstream: aiohttp.ClientSession
    faults: Faults = field(default_factory=Faults)
    seen: Counter[str] = field(default_factory=Counter)
    changed: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    dice: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - the same harm every time

    async def tell(self, request: web.Request) -> web.Response:
        """Return what was seen, by method and by fault."""
        return web.json_response(self.seen)

    async def obey(self, request: web.Request) -> web.Response:
        """Do other harm from now on; open watches and unanswered requests end."""
        self.faults = Faults(**await request.json())
        self.changed.set_result(self.faults.watches)
        self.changed = asyncio.get_running_loop().create_future()
        return web.json_response({})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, or not."""
        self.seen[request.method] += 1
        if self.faults.mode == "away":
            return self._broken(request)
        if self.faults.mode == "lost":
            await asyncio.wait({self.changed}, timeout=FOR_EVER)
            return self._broken(request)
        return await (self._watch(request) if "watch" in request.query else self._answer(request))

    async def _answer(self, request: web.Request) -> web.Response:
        """Pass a request on, and fail it or its answer with the odds that are asked for."""
        status = self.dice.choice(STATUSES) if self.dice.random() < self.faults.share else 0
        if status and self.dice.random() < 0.5:
            return self._failure(status)
        try:
            async with self._forwarded(request) as answer:
                body = await answer.read()
        except aiohttp.ClientError:
            return self._broken(request)
        if status >= 500:  # it was done, and no one hears of it; what is refused was not
            return self._failure(status)
        return web.Response(status=answer.status, body=body, headers=kept(answer.headers))

    def _forwarded(self, request: web.Request) -> Any:  # noqa: ANN401 - aiohttp's context manager
        """Return the request to the API server."""
        return self.upstream.request(
            request.method,
            self.server + request.raw_path,
            headers=kept(request.headers),
            data=request.content if request.can_read_body else None,
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        """Stream a watch until it ends, or is ended."""
        changed = self.changed
        if self.faults.mode == "blind":
            response = web.StreamResponse()
            await response.prepare(request)
            await asyncio.wait({changed})
            return response
        async with self._forwarded(request) as answer:
            response = web.StreamResponse(status=answer.status, headers=kept(answer.headers))
            await response.prepare(request)
            while True:
                reading = asyncio.create_task(answer.content.readline())
                await asyncio.wait({reading, changed}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done() or not reading.result():
                    break
                await response.write(reading.result())
            reading.cancel()
        if changed.done() and changed.result() == "expired":
            await response.write(json.dumps(EXPIRED).encode() + b"\n")
        self.seen["cut watches"] += 1
        return response

    def _failure(self, status: int) -> web.Response:
        """Refuse as the API server would."""
        self.seen["failures"] += 1
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": REASONS[status]}
        return web.json_response(body | {"message": "injected"}, status=status, headers={"Retry-After": "1"})

    def _broken(self, request: web.Request) -> web.Response:
        """Break the connection."""
        self.seen["broken"] += 1
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


def kept(headers: Any) -> dict[str, str]:  # noqa: ANN401 - aiohttp's own mapping
    """Return the headers that are passed on."""
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


async def serve(cluster: Mapping[str, str], port_file: Path) -> None:
    """Serve a kubeconfig's `cluster` until killed, on a free port that is written to `port_file`."""
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=authority), limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, read_bufsize=2**22) as upstream:
        faulty = Faulty(cluster["server"], upstream)
        app = web.Application(client_max_size=2**24)
        app.add_routes([web.get("/faults", faulty.tell), web.put("/faults", faulty.obey)])
        app.router.add_route("*", "/{path:.*}", faulty.handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        tell(port_file, runner.addresses[0][1])
        await asyncio.Event().wait()


def tell(port_file: Path, port: int) -> None:
    """Write the port, whole or not at all."""
    part = port_file.with_suffix(".part")
    part.write_text(str(port))
    part.rename(port_file)


if __name__ == "__main__":
    config = yaml.safe_load(Path(sys.argv[1]).read_text())
    asyncio.run(serve(config["clusters"][0]["cluster"], Path(sys.argv[2])))
