"""What a store says of itself: each knowledge base as the fold of its log, by the plain matcher.

Called by the tests of durability, which hold what the service answers against it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from kato_service.engine.model import AFFINITY_ONE, PatternRecord
from kato_service.engine.oracle import OracleMatcher
from kato_service.processor.ports import Entry, MemoryStore
from kato_service.stores.mongo_link import MongoLink
from kato_service.stores.mongo_memory import MongoMemory
from tests.support.stores.server import PATIENCE


@dataclass(frozen=True)
class Base:
    """A knowledge base: what had been folded up to entry `start`, and the log behind it folded here.

    The log in front of `start` is compacted away: what the service has made of it is taken as it is, and compared when
    it happens (`same_patterns` before and after).
    """

    start: int
    entries: Sequence[Entry]
    records: Sequence[PatternRecord]

    def total(self) -> int:
        """Return how many learnings there are."""
        return sum(record.frequency for record in self.records)

    def frequencies(self) -> Counter[str]:
        """Return how often each pattern was learned."""
        return Counter({record.name: record.frequency for record in self.records})

    def patterns(self) -> list[dict[str, Any]]:
        """Return the patterns by name, as the API shows them."""
        return [
            {
                "name": f"PTRN|{record.name}",
                "pattern_data": [list(event) for event in record.events],
                "length": sum(map(len, record.events)),
                "frequency": record.frequency,
                "emotives": [dict(emotives) for emotives in record.emotives],
                "metadata": {name: list(values) for name, values in record.metadata.items()},
            }
            for record in self.records
        ]

    def statistics(self) -> dict[str, Any]:
        """Recount the statistics from the patterns, as the API shows them."""
        frequency, members = Counter[str](), Counter[str]()
        affinity: dict[str, Counter[str]] = {}
        for record in self.records:
            within = Counter(symbol for event in record.events for symbol in event)
            for symbol, times in within.items():
                frequency[symbol] += record.frequency * times
                members[symbol] += 1
                affinity.setdefault(symbol, Counter()).update(record.affinity)
        return {
            "symbols": {
                symbol: {
                    "frequency": frequency[symbol],
                    "pattern_member_frequency": members[symbol],
                    "affinity": {emotive: total / AFFINITY_ONE for emotive, total in affinity[symbol].items()},
                }
                for symbol in frequency
            },
            "totals": {
                "total_unique_patterns": len(self.records),
                "total_pattern_frequencies": self.total(),
                "total_symbol_frequencies": frequency.total(),
                "symbols": len(frequency),
            },
        }

    def follows(self, before: Base) -> bool:
        """Say whether nothing of the log is another one than `before`; True where it has been folded since."""
        return self.start != before.start or self.entries[: len(before.entries)] == before.entries


async def refold(store: MemoryStore) -> dict[str, Base]:
    """Fold each log in the store, checking that it is gapless, and close the store."""
    bases = {}
    for node in await store.nodes():
        snapshot, matcher = await store.load(node), OracleMatcher()
        async for chunk in snapshot.patterns:
            matcher.load(chunk, {})
        matcher.load((), snapshot.vectors)
        entries = await store.tail(node, snapshot.seq)
        assert [entry.seq for entry in entries] == list(range(snapshot.seq + 1, snapshot.seq + 1 + len(entries)))
        for entry in entries:
            for operation in entry.operations:
                matcher.apply(operation)
        bases[node] = Base(
            snapshot.seq, entries, [record for name in matcher.names() if (record := matcher.record(name))]
        )
    await store.close()
    return bases


def refold_database(uri: str, database: str) -> dict[str, Base]:
    """Fold each log in a MongoDB database."""

    async def run() -> dict[str, Base]:
        return await refold(MongoMemory(MongoLink(uri, database, PATIENCE)))

    return asyncio.run(run())


def check(api: httpx.Client, node: str, base: Base) -> None:
    """The service's patterns are the fold of the log, each whole, and its statistics a recount from them."""
    listed = api.get("/patterns", params={"node_id": node, "limit": 1000}).raise_for_status().json()["patterns"]
    assert listed == base.patterns()
    stats = api.get("/symbols/stats", params={"node_id": node}).raise_for_status().json()
    assert {part: stats[part] for part in ("symbols", "totals")} == base.statistics()
