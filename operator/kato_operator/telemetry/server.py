"""Metrics and health over HTTP: /metrics, /livez, /readyz.

Run by the composition root, from before this replica is the leader until its end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kato_operator.telemetry.metrics import Telemetry
from kato_spec.errors import Rejected

CONTENT_TYPE = "Content-Type"


@asynccontextmanager
async def serving(telemetry: Telemetry, host: str, port: int) -> AsyncIterator[int]:
    """Serve until the block ends; yield the port."""

    async def metrics(request: web.Request) -> web.Response:
        body = generate_latest(telemetry.registry)
        return web.Response(body=body, headers={CONTENT_TYPE: CONTENT_TYPE_LATEST})

    async def alive(request: web.Request) -> web.Response:
        sickness = telemetry.sickness()
        return web.Response(text=sickness or "ok", status=500 if sickness else 200)

    async def ready(request: web.Request) -> web.Response:
        return web.Response(text="leader" if telemetry.leader else "standby")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", alive), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await _listen(runner, host, port)
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    """Take the port.

    Raises:
        Rejected: someone else has it, or the address is not this machine's.
    """
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise Rejected("port", f"{host}:{port}", f"an address that is free: {error.strerror}") from error
