"""How fast the service has a KB ready: from SQLite, and from the copy beside it. Called by the suite `engine`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

from kato_service.engine.model import Deletion, PatternRecord
from kato_service.engine.rust import RustMatcher
from kato_service.processor.library import Library
from kato_service.processor.ports import Entry, Fold
from kato_service.processor.world import SystemClock
from kato_service.stores.index_files import IndexFiles
from kato_service.stores.sqlite_memory import SqliteMemory
from tests.bench.rows import Row

SUITE = "engine"
ROOT = Path(__file__).parents[2]
AT_A_TIME = 10_000


def load_rows(records: Sequence[PatternRecord]) -> Iterator[Row]:
    """Measure both ways; goals are those of a million patterns."""
    size = len(records)
    million = size == 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        read, restored = asyncio.run(both_ways(Path(directory), records))
    yield Row(SUITE, f"ready from SQLite, {size:,}", read, "s", goal=15 if million else None)
    yield Row(SUITE, f"ready from the copy beside it, {size:,}", restored, "s", goal=5 if million else None)


async def write_patterns(store: SqliteMemory, node: str, records: Sequence[PatternRecord]) -> None:
    """Write patterns as they stand into a new KB, as its folds."""
    for seq, begin in enumerate(range(0, len(records), AT_A_TIME), 1):
        await store.append(node, Entry(seq, 0.0, (Deletion(f"op{seq}", "none"),)))  # a fold needs an entry to end at
        part = records[begin : begin + AT_A_TIME]
        await store.fold(node, Fold(seq - 1, seq, part, frozenset(), {}, cleared=False, at=0.0, forget_before=0.0))


async def both_ways(directory: Path, records: Sequence[PatternRecord]) -> tuple[float, float]:
    """Write the patterns; return the seconds of the first start, which reads them, and of the next one."""
    store = SqliteMemory(directory / "memory.db", IndexFiles(directory / "index"))
    await write_patterns(store, "kb", records)
    seconds = await start(store, len(records)), await start(store, len(records))
    await store.close()
    return seconds


async def start(store: SqliteMemory, patterns: int) -> float:
    """Return the seconds until a library holds the patterns, and end it as the service does."""
    library = Library(store, SystemClock(), RustMatcher)
    begin = perf_counter()
    await library.load()
    seconds = perf_counter() - begin
    assert library.patterns() == patterns
    await library.close()
    return seconds


def wheel_bytes() -> int:
    """Build the distribution's wheel and return its size."""
    with tempfile.TemporaryDirectory() as directory:
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", directory, str(ROOT)]
        subprocess.run([ROOT / "service" / "kato_matcher" / "with-cargo", *pip], check=True)
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(wheel) as files:
            assert any("_matcher" in name and name.endswith(".so") for name in files.namelist()), "built without cargo"
        return wheel.stat().st_size
