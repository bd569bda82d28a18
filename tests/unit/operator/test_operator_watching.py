"""Kopf as the source of events, against a server of listings: what breaks one watch off for good ends them all."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from kato_operator.desired.kinds import PROCESSOR, SESSION, WATCHED

WATCHING = """
import asyncio, sys
from kato_operator.handlers.watching import Watches

async def credentials():
    return {"server": sys.argv[1]}

def tell(kind, manifest, *, gone, listed):
    print(kind.name, manifest["metadata"]["name"], flush=True)

async def may_read(namespace):
    return True

asyncio.run(Watches(credentials, ["space"], lambda: None, may_read).run(tell))
"""
VERBS = ["get", "list", "watch"]
ONE = {"metadata": {"name": "broad", "namespace": "space", "uid": "u", "resourceVersion": "1"}}


class Listings:
    """An API server on which there is one processor; once `told`, sessions are listed after so many `conflicts`."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.conflicts = sys.maxsize

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer what Kopf asks."""
        path = request.path
        if path == "/api":
            return web.json_response({"versions": ["v1"]})
        if path == "/apis":
            groups = {kind.group: kind.version for kind in WATCHED if kind.group} | {"apiextensions.k8s.io": "v1"}
            return web.json_response({"groups": [group(*found) for found in groups.items()]})
        if path.count("/") == 2 or (path.startswith("/apis") and path.count("/") == 3):
            return web.json_response({"resources": resources(path)})
        if "watch" in request.query:
            await asyncio.Event().wait()
        if path.endswith("/katosessions"):
            await self.told.wait()
            self.conflicts -= 1
            if self.conflicts >= 0:
                return web.json_response({"kind": "Status", "code": 409}, status=409)
        items = [ONE] if path.endswith((PROCESSOR.plural, SESSION.plural)) else []
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})


def group(name: str, version: str) -> dict[str, object]:
    """Return a group as discovery tells it."""
    found = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [found], "preferredVersion": found}


def resources(path: str) -> list[dict[str, object]]:
    """Return the resources of a group and version as discovery tells them."""
    api_version = path.removeprefix("/apis/").removeprefix("/api/")
    found = [(kind.plural, kind.name, True) for kind in WATCHED if kind.api_version == api_version]
    found += [("namespaces", "Namespace", False)] if api_version == "v1" else []
    found += [("customresourcedefinitions", "CustomResourceDefinition", False)] if "apiext" in path else []
    return [
        {"name": plural, "singularName": "", "namespaced": namespaced, "kind": name, "verbs": VERBS}
        for plural, name, namespaced in found
    ]


@pytest.fixture
async def listings() -> AsyncIterator[tuple[Listings, str]]:
    """The server, and its address."""
    made, app = Listings(), web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield made, site.name
    await runner.cleanup()


@asynccontextmanager
async def watching(address: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    """Run the watches as a process; yield it and what it prints."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WATCHING, address, stdout=pipe, stderr=pipe)
    assert process.stdout
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"KatoProcessor broad\n"
        yield process, process.stdout
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_watches_that_break_off_are_begun_anew(listings: tuple[Listings, str]) -> None:
    server, address = listings
    server.conflicts = 1
    async with watching(address) as (process, printed):
        server.told.set()
        said = await asyncio.wait_for(printed.readuntil(b"KatoSession broad\n"), 60)
        assert b"the watches broke off" in said
        assert process.returncode is None


async def test_watches_that_fail_for_good_end_them_all(listings: tuple[Listings, str]) -> None:
    server, address = listings
    async with watching(address) as (process, _):
        server.told.set()
        _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert b"APIConflictError" in said
