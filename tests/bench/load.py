"""Load for the bench: several clients on one connection each, which cost next to nothing beside the service."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

WARM_UP = 0.5  # seconds that are not counted


@dataclass(frozen=True, slots=True)
class Request:
    """One request as bytes; `create` makes it from what it asks."""

    content: bytes

    @classmethod
    def create(cls, method: str, path: str, body: object = None) -> Request:
        """Return a request with a JSON body, or without one."""
        content = b"" if body is None else json.dumps(body).encode()
        kind = "Content-Type: application/json\r\n" if content else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{kind}Content-Length: {len(content)}\r\n\r\n"
        return cls(head.encode() + content)


def rate(port: int, streams: list[Iterator[Request]], seconds: float) -> float:
    """Return the answers per second that as many clients as there are streams get, each asking when it is answered.

    Raises:
        AssertionError: an answer is not 200.
    """
    return asyncio.run(_rate(port, streams, seconds))


def ask(port: int, streams: list[Iterator[Request]]) -> None:
    """Let as many clients as there are streams ask all that is in them.

    Raises:
        AssertionError: an answer is not 200.
    """
    asyncio.run(_ask(port, streams))


async def _ask(port: int, streams: list[Iterator[Request]]) -> None:
    await asyncio.gather(*(_client(port, stream, 0.0, math.inf) for stream in streams))


async def _rate(port: int, streams: list[Iterator[Request]], seconds: float) -> float:
    begin = perf_counter() + WARM_UP
    counts = await asyncio.gather(*(_client(port, stream, begin, begin + seconds) for stream in streams))
    return sum(counts) / max(seconds, perf_counter() - begin)


async def _client(port: int, stream: Iterator[Request], begin: float, end: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    for request in stream:
        if (now := perf_counter()) >= end and count:
            break
        writer.write(request.content)
        await _answer(reader)
        count += now >= begin
    writer.close()
    await writer.wait_closed()
    return count


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    place = head.lower().index(b"content-length:") + 15
    body = await reader.readexactly(int(head[place : head.index(b"\r", place)]))
    assert head.startswith(b"HTTP/1.1 200 "), head + body
    return body
