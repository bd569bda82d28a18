"""Malformed requests by the thousand, the same for the same seed, sent as bytes. Called by tests/service."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

PATHS = (
    "/sessions",
    "/sessions/{session}/observe",
    "/sessions/{session}/observe-sequence",
    "/sessions/{session}/config",
    "/sessions/{session}/extend",
    "/sessions/{session}/predictions",
    "/sessions/{session}/learn",
    "/observe",
    "/import",
)
READS = (
    "/patterns",
    "/sessions",
    "/symbols/stats",
    "/pattern/x",
    "/stats",
    "/metrics/x",
    "/export",
    "/symbols/x/affinity",
)
KEYS = (
    "strings",
    "vectors",
    "emotives",
    "metadata",
    "unique_id",
    "observations",
    "config",
    "ttl_seconds",
    "user_id",
    "stm",
)
SCALARS: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    1e308,
    2**64,
    "",
    "x",
    "\ud800",
    "\x00",
    "9" * 300,
    [],
    {},
    [[]],
    [{}],
)
SECONDS = 60.0  # in which an answer or the end of the connection has to come, however busy the machine


@dataclass(frozen=True)
class Reply:
    """What came back: the status (0: the connection was closed without one) and all bytes."""

    status: int
    content: bytes


def requests(count: int, session: str, seed: int = 1) -> Iterator[bytes]:
    """Yield `count` requests, each wrong in some way or, once in a while, by chance not."""
    chance = random.Random(seed)  # noqa: S311 - reproducible nonsense, no secret
    for _ in range(count):
        yield chance.choice(KINDS)(chance, session)


def post(path: str, body: bytes, *headers: bytes, kind: bytes = b"application/json") -> bytes:
    lines = [b"POST %s HTTP/1.1" % path.encode("latin-1", "replace"), b"Host: x", b"Connection: close"]
    lines += [b"Content-Type: " + kind, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


def some_path(chance: random.Random, session: str) -> str:
    return chance.choice(PATHS).format(session=chance.choice((session, "none")))


def value(chance: random.Random, depth: int = 3) -> object:
    roll = chance.random()
    if depth and roll < 0.25:
        return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if depth and roll < 0.5:
        return {chance.choice(KEYS): value(chance, depth - 1) for _ in range(chance.randrange(4))}
    return chance.choice(SCALARS)


def wrong_types(chance: random.Random, session: str) -> bytes:
    body = {key: value(chance) for key in chance.sample(KEYS, chance.randrange(1, 5))}
    return post(some_path(chance, session), json.dumps(body).encode())


def bad_json(chance: random.Random, session: str) -> bytes:
    body = bytearray(json.dumps({"strings": ["a"], "emotives": {"joy": 0.5}}).encode())
    for _ in range(chance.randrange(1, 4)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    cut = body[: chance.randrange(len(body))]
    return post(some_path(chance, session), bytes(chance.choice((body, cut, b"NaN", b'{"a":1}{', b"\xef\xbb\xbf{}"))))


def deep(chance: random.Random, session: str) -> bytes:
    depth = chance.choice((50, 1000, 20_000))
    opening, closing = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    nested = opening * depth + b"1" + closing * depth
    key = chance.choice(KEYS).encode()
    return post(some_path(chance, session), chance.choice((nested, b'{"%b":%b}' % (key, nested))))


def bad_text(chance: random.Random, session: str) -> bytes:
    junk = bytes(chance.randrange(128, 256) for _ in range(chance.randrange(1, 9)))
    body = b'{"strings": ["%b"]}' % junk
    path = f"/sessions/{session}/" + chance.choice(("%ff%fe", "observe%00", "..%2f..%2f", "%", "%zz", "observe?x=%ff"))
    return chance.choice(
        (post(some_path(chance, session), body), post(path, b"{}"), post("/" + junk.decode("latin-1"), b"{}"))
    )


def huge(chance: random.Random, session: str) -> bytes:
    path = some_path(chance, session)
    large = b'{"strings": ["%b"]}' % (b"x" * 200_000)
    chunks = b"".join(b"%x\r\n%b\r\n" % (50_000, b"y" * 50_000) for _ in range(4)) + b"0\r\n\r\n"
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n" % path.encode()
    announced = head + b"Content-Length: %d\r\n\r\n{" % 10 ** chance.randrange(6, 40)
    return chance.choice((post(path, large), head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, announced))


def header_tricks(chance: random.Random, session: str) -> bytes:
    path, body = some_path(chance, session), b'{"strings": ["a"]}'
    tricks: tuple[bytes, ...] = (
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Content-Length: -1",
        b"Content-Length: 1e3",
        b"X-Long: " + b"a" * chance.choice((10_000, 70_000, 300_000)),
        b"X-Null: a\x00b",
        b"X-Bare: a\nb",
        b" folded: yes",
        b"No colon at all",
        b": no name",
        b"Idempotency-Key: " + b"k" * 300,
        b"Idempotency-Key: \xff\xfe",
        b"Authorization: Bearer \xff",
        b"X-Request-ID: " + b"r" * 500,
        b"X-Node-ID: \xff",
        b"Content-Encoding: gzip",
        b"Expect: 100-continue",
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 99",
        b"\r\n".join(b"X-%d: y" % number for number in range(2000)),
    )
    kind = chance.choice(
        (b"application/json", b"text/plain", b"multipart/form-data; boundary=x", b"application/\xff", b";")
    )
    return post(path, body, *chance.sample(tricks, chance.randrange(1, 3)), kind=kind)


def bad_line(chance: random.Random, session: str) -> bytes:
    lines = (
        b"GET /ping",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT example.org:443 HTTP/1.1",
        b"GET http://example.org/ping HTTP/1.1",
        b"GET //ping HTTP/1.1",
        b"BREW /ping HTTP/1.1",
        b"GET /ping HTTP/9.9",
        b"get /ping HTTP/1.1",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1",
        b"GET /ping\x00 HTTP/1.1",
        b"TRACE /ping HTTP/1.1",
        bytes(chance.randrange(256) for _ in range(40)),
    )
    return chance.choice(lines) + b"\r\nHost: x\r\nConnection: close\r\n\r\n"


def bad_query(chance: random.Random, session: str) -> bytes:
    values = ("", "-1", "1e9", "nan", "%00", "%ff", "%F0%9F%92%A9", "x" * 5000, "[]", "true", "9" * 400, "a&limit=b")
    names = (
        "limit",
        "cursor",
        "minutes",
        "node_id",
        "prefix",
        "contains",
        "max_predictions",
        "recall_threshold",
        "merge",
    )
    path = chance.choice((*READS, f"/sessions/{session}/predictions"))
    query = "&".join(f"{chance.choice(names)}={chance.choice(values)}" for _ in range(chance.randrange(1, 4)))
    return f"GET {path}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


def never_ends(chance: random.Random, session: str) -> bytes:
    """Return what a server could wait for till the end of its days."""
    path = some_path(chance, session).encode()
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % path
    return chance.choice(
        (
            b"",
            b"POST",
            head,
            head + b"Content-Length: 1000\r\n\r\n{",
            head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
            head + b"Transfer-Encoding: chunked\r\n\r\n",
        )
    )


KINDS: tuple[Callable[[random.Random, str], bytes], ...] = (
    *(wrong_types, wrong_types, wrong_types, bad_json, bad_json, deep, bad_text, huge),
    *(header_tricks, header_tricks, bad_line, bad_query, never_ends),
)


async def send_all(port: int, payloads: Iterator[bytes], at_once: int) -> list[tuple[bytes, Reply]]:
    """Send each payload on a connection of its own, so many at once; return what came back for it."""

    async def worker() -> list[tuple[bytes, Reply]]:
        return [(payload, await send(port, payload)) for payload in payloads]

    found = await asyncio.gather(*(worker() for _ in range(at_once)))
    return [each for replies in found for each in replies]


async def send(port: int, payload: bytes) -> Reply:
    """Send one payload and read until its answer is whole or the connection ends.

    Raises:
        TimeoutError: neither came.
    """
    return await drip(port, payload, 0, 0)


async def drip(port: int, payload: bytes, count: int, seconds: float, first: bytes = b"") -> Reply:
    """Do as `send`, with the last `count` bytes one by one, so many seconds apart.

    `first`: a request that is sent before on the same connection, and answered.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    at = len(payload) - count
    try:
        async with asyncio.timeout(SECONDS):
            if first:
                writer.write(first)
                await received(reader)
            answer = asyncio.create_task(received(reader))
            with suppress(ConnectionError):  # closed on us in the middle of what we send
                writer.write(payload[:at])
                await writer.drain()
                for byte in payload[at:]:
                    if (await asyncio.wait([answer], timeout=seconds))[0]:
                        break
                    writer.write(bytes([byte]))
            content = await answer
    finally:
        writer.close()
    content = content.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    status = content[9:12]
    return Reply(int(status) if status.isdigit() else 0, content)


async def received(reader: asyncio.StreamReader) -> bytes:
    """Read until an answer is whole or the connection ends."""
    content = b""
    with suppress(ConnectionError):
        while not whole(content) and (more := await reader.read(65_536)):
            content += more
    return content


def whole(content: bytes) -> bool:
    head, found, body = content.partition(b"\r\n\r\n")
    if not found:
        return False
    if head.startswith(b"HTTP/1.1 100"):
        return whole(body)
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return body.endswith(b"0\r\n\r\n")
