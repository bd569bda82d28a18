"""Every knowledge base of the processor, by node. Called by all flows that learn or ask.

Loaded whole when the processor starts; a node that comes later is looked up in the store when it is first asked for.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import structlog

from kato_service.engine.model import Matcher
from kato_service.processor import background
from kato_service.processor.knowledge import Appended, Knowledge, Learned
from kato_service.processor.ports import Clock, MemoryStore

KEPT_EMPTY = 1024
TELL_SECONDS = 2.0  # between two lines that tell how far the start is
FOLD_SECONDS = 5.0  # for the last folds when the process ends; the log holds what they leave
log = structlog.get_logger()


class Library:
    """The processor's KBs. `threads` match at once."""

    def __init__(
        self,
        store: MemoryStore,
        clock: Clock,
        make: Callable[[], Matcher],
        *,
        learned: Learned = lambda _node, _learning: None,
        appended: Appended = lambda _node, _seq: None,
        fold_seconds: float = FOLD_SECONDS,
    ) -> None:
        self._store, self._clock, self._make, self._learned, self._appended = store, clock, make, learned, appended
        self.threads = os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self.threads, thread_name_prefix="matching")
        self._bases: dict[str, Knowledge] = {}
        self._empty: OrderedDict[str, Knowledge] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Knowledge]] = {}
        self._loaded: dict[str, int] = {}
        self._all_read = False
        self._fold_seconds = fold_seconds

    @property
    def loaded_patterns(self) -> int:
        """How many patterns the start has read so far."""
        return sum(self._loaded.values())

    async def load(self) -> None:
        """Read every KB there is, and tell in the log how far it is."""
        began = time.monotonic()
        nodes = await self._store.nodes()
        telling = asyncio.create_task(self._tell_progress(len(nodes)))
        try:
            with _no_collection():
                for node in nodes:
                    await self.open(node)
        finally:
            await background.end(telling)
        self._all_read = True
        seconds = round(time.monotonic() - began, 3)
        log.info("memory_loaded", patterns=self.loaded_patterns, nodes=len(nodes), seconds=seconds)

    async def open(self, node: str) -> Knowledge:
        """Return the KB of `node`, which need not exist yet, to learn."""
        found = self._bases.get(node)
        if found is None:
            found = self._bases.setdefault(node, await self._look_up(node))
            self._empty.pop(node, None)
        return found

    async def read(self, node: str) -> Knowledge:
        """Return the KB of `node` to ask it. Of those that hold nothing a few are kept: asking costs no memory."""
        found = self._bases.get(node)
        if found is not None:
            return found
        found = await self._look_up(node)
        if found.seq:
            return self._bases.setdefault(node, found)
        self._empty[node] = found
        if len(self._empty) > KEPT_EMPTY:
            self._empty.popitem(last=False)
        return found

    async def follow(self, node: str, seq: int) -> None:
        """Take in what another replica has appended to the KB of `node`, up to entry `seq`."""
        await (await self.open(node)).reach(seq)

    async def catch_up(self) -> None:
        """Take in whatever other replicas have appended to any KB."""
        for node in await self._store.nodes():
            await (await self.open(node)).catch_up()

    def check(self) -> None:
        """Raise StoreUnavailable where nothing can be learned now, as far as is known without asking the store."""
        self._store.check()

    def bases(self) -> Mapping[str, Knowledge]:
        """Return the KBs in memory, by node."""
        return self._bases

    def patterns(self) -> int:
        """Count the patterns of all KBs."""
        return sum(base.matcher.totals().total_unique_patterns for base in self._bases.values())

    async def memory(self) -> int:
        """Return the bytes that the indexes of all KBs hold; 0 where the matcher does not count them."""
        return sum([await base.memory() for base in tuple(self._bases.values())])

    async def close(self) -> None:
        """Wait for what is being learned, fold what can be folded in time, and let the threads go.

        Where the store has a place for it, a copy of each index is left for the next start.
        """
        bases = tuple(self._bases.values())
        try:
            for base in bases:
                await base.commit(())
            await self._fold(bases)
            for base in bases:
                await base.keep_copy()
        finally:
            for base in bases:
                await base.stop()
            self._threads.shutdown()

    async def _fold(self, bases: Iterable[Knowledge]) -> None:
        try:
            async with asyncio.timeout(self._fold_seconds):
                for base in bases:
                    await base.fold()
        except TimeoutError:
            log.info("fold_left_to_the_next_start", after=self._fold_seconds)

    async def _look_up(self, node: str) -> Knowledge:
        if found := self._empty.get(node):
            return found
        if node not in self._loading:
            self._loading[node] = asyncio.create_task(self._read(node))
            self._loading[node].add_done_callback(lambda _: self._loading.pop(node))
        return await asyncio.shield(self._loading[node])

    async def _read(self, node: str) -> Knowledge:
        base = Knowledge(
            node,
            store=self._store,
            clock=self._clock,
            make=self._make,
            threads=self._threads,
            learned=self._learned,
            appended=self._appended,
        )
        # A KB that was not there when all were read is another replica's: what it has learned has not been told here.
        await base.load(partial(self._note, node), told=self._all_read)
        return base

    def _note(self, node: str, patterns: int) -> None:
        if not self._all_read:
            self._loaded[node] = patterns

    async def _tell_progress(self, nodes: int) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            log.info("memory_loading", patterns=self.loaded_patterns, nodes=len(self._bases), of_nodes=nodes)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the cyclic garbage collector from looking through millions of objects that are all still wanted."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
