"""Exporting: knowledge bases as lines, as they stood at one moment. Called by the API.

Spec: service.md, GET /export; cli.md, `kato export`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping

from kato_service.processor import transfer
from kato_service.processor.point_in_time import PointInTime
from kato_service.processor.processor import Processor

CHUNK = 256  # patterns between two looks at what else waits
CHUNK_BYTES = 256 * 1024  # fewer, where they are long


async def export(processor: Processor, node: str | None = None) -> AsyncIterator[bytes]:
    """Return the lines of one node's KB, or of every KB that holds anything, each as it stands at one moment.

    What is learned while the lines are read is not in them and waits for nobody.

    Raises:
        StoreUnavailable: the KB of `node` is not in memory and cannot be read.
    """
    return _exported(await _points(processor, node))


async def _exported(points: Mapping[str, PointInTime]) -> AsyncIterator[bytes]:
    patterns = sum(len(point.names) for point in points.values())
    vectors = sum(len(point.vectors) for point in points.values())
    digest = hashlib.sha256()
    for lines in _lines(points, patterns):
        digest.update(lines)
        yield lines
        await asyncio.sleep(0)  # other requests are answered in between
    yield transfer.write(transfer.end(patterns, vectors, digest.hexdigest()))


async def _points(processor: Processor, node: str | None) -> dict[str, PointInTime]:
    if node is not None:
        return {node: await (await processor.library.read(node)).point_in_time()}
    points = {name: await base.point_in_time() for name, base in sorted(processor.library.bases().items())}
    return {name: point for name, point in points.items() if point.names or point.vectors}


def _lines(points: Mapping[str, PointInTime], patterns: int) -> Iterator[bytes]:
    yield transfer.write(transfer.head(len(points), patterns))
    for node, point in points.items():
        yield transfer.write(transfer.node_head(node, len(point.names), len(point.vectors)))
        vectors = sorted(point.vectors.items())
        for start in range(0, len(vectors), CHUNK):
            yield b"".join(transfer.write(transfer.vector_line(*each)) for each in vectors[start : start + CHUNK])
        yield from _pattern_lines(point)


def _pattern_lines(point: PointInTime) -> Iterator[bytes]:
    lines, size = list[bytes](), 0
    while records := point.next(1):
        lines += [transfer.write(transfer.pattern_line(record)) for record in records]
        size += len(lines[-1])
        if len(lines) == CHUNK or size >= CHUNK_BYTES:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)
