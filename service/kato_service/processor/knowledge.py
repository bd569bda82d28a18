"""One knowledge base: the matcher in memory, fed by the log, and the one queue through which it learns.

Called by `library`, which holds one per node. Everything that sessions learn at the same moment becomes one entry of
the log (group commit); a learning counts once, whoever asks how often (spec: service.md, "Memory is a log").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Executor
from itertools import islice
from typing import TypeVar
from weakref import WeakSet

import structlog

from kato_service.engine.model import Events, Learning, Matcher, Operation
from kato_service.processor.changes import Changes
from kato_service.processor.errors import LogCompacted, RepeatedOperation, SequenceTaken, StoreUnavailable
from kato_service.processor.gate import Gate
from kato_service.processor.point_in_time import PointInTime
from kato_service.processor.ports import Clock, Entry, Fold, MemoryStore, Snapshot
from kato_spec.errors import KatoError
from kato_spec.parameters import Parameters

FOLD_AFTER = 1000  # operations since the last fold
FOLD_AFTER_BYTES = 8 * 1024 * 1024  # of fewer, where they are long: a fold holds what it writes
FOLD_BEHIND = 10 * FOLD_AFTER  # at so many whoever brings more waits for a fold, and others fold too
FOLD_BEHIND_BYTES = 2 * FOLD_AFTER_BYTES
ENTRY_UNITS = 256  # commits that share one entry
ENTRY_OPERATIONS = 1000  # of one entry
UNSEEN = 20  # times that an entry may be taken without being there to read
UNSEEN_SECONDS = 0.005  # more between two looks for it, each time
KEEP_OP_IDS = 24 * 3600.0  # seconds beyond compaction
COPY_FROM = 10_000  # patterns: fewer are read from the store in 0.2 s
Result = TypeVar("Result")
Learned = Callable[[str, Learning], None]
Appended = Callable[[str, int], None]
Waiting = tuple[Sequence[Operation], "asyncio.Future[int]"]
log = structlog.get_logger()


class Knowledge:
    """The KB of one node. Used on the event loop; only matching leaves it, for `threads`.

    `matcher` may be read between two awaits. `seq` is the last entry it holds. `learned` hears of every learning that
    is taken from the log after the KB was loaded, whoever learned it; `appended` of every entry that this replica
    appends.
    """

    def __init__(
        self,
        node: str,
        *,
        store: MemoryStore,
        clock: Clock,
        make: Callable[[], Matcher],
        threads: Executor,
        learned: Learned = lambda _node, _learning: None,
        appended: Appended = lambda _node, _seq: None,
    ) -> None:
        self.node = node
        self._learned, self._appended = learned, appended
        self.matcher = make()
        self.seq = 0
        self._folded = 0
        self._changes = Changes()
        self._store, self._clock, self._make, self._threads = store, clock, make, threads
        self._copied: str | None = None
        self._gate = Gate()
        self._advancing = asyncio.Lock()
        self._folding = asyncio.Lock()
        self._queue: list[Waiting] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._points: WeakSet[PointInTime] = WeakSet()
        self._writing = False

    async def load(self, report: Callable[[int], None] = lambda _: None, *, told: bool = False) -> None:
        """Read the whole KB from the store; `report` hears after each chunk how many patterns have been read.

        `told`: what the log still holds was learned while this replica served, so `learned` hears of it.
        """
        while True:
            snapshot = await self._store.load(self.node)
            matcher = self._make()
            try:
                if await self._off_loop(self._restore, matcher, snapshot):
                    report(matcher.totals().total_unique_patterns)
                else:
                    read = 0
                    async for chunk in snapshot.patterns:
                        await self._off_loop(matcher.load, chunk, {})
                        read += len(chunk)
                        report(read)
                    await self._off_loop(matcher.load, (), snapshot.vectors)
                entries = await self._store.tail(self.node, snapshot.seq)
            except LogCompacted:
                continue
            async with self._gate.writing():
                self.matcher, self._changes = matcher, Changes()
                self.seq = self._folded = snapshot.seq
                self._take(entries, told=told)
            self._fold_when_due()
            return

    async def commit(self, operations: Sequence[Operation]) -> int:
        """Return when the log and the matcher hold `operations`; the answer is an entry by which both do.

        Operations whose op_id the log holds already count no second time. None at all: what this process was asked to
        commit before is done; what other replicas have appended may not be read yet.

        Raises:
            StoreUnavailable: nothing of it is known to be kept; asking again with the same op_ids is safe.
        """
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.append((operations, answer))
        if not self._writing:
            self._writing = True
            self._spawn(self._write())
        return await answer

    async def commit_if(self, check: Callable[[], None], operation: Operation) -> None:
        """Return when the log and the matcher hold `operation`, if `check` does not raise on what is right before it.

        Whatever another replica appends meanwhile is read first, and `check` called again.

        Raises:
            StoreUnavailable: as `commit`; and what `check` raises: nothing is appended then.
        """
        async with self._advancing:
            await self._append((operation,), check)
        self._appended(self.node, self.seq)

    async def reach(self, seq: int) -> None:
        """Return when the matcher holds entry `seq`, which some replica has appended."""
        if self.seq < seq:
            async with self._advancing:
                if self.seq < seq:
                    await self._catch_up()
                if self.seq < seq:
                    raise StoreUnavailable(f"entry {seq} of node {self.node!r} is not to be seen yet")

    async def catch_up(self) -> None:
        """Take in whatever other replicas have appended."""
        async with self._advancing:
            await self._catch_up()

    async def predict(self, stm: Events, parameters: Parameters) -> tuple[int, bytes]:
        """Return the entry up to which the KB was asked, and the engine's JSON. Runs off the event loop."""
        await self._gate.enter()
        seq = self.seq
        return seq, await self._reading(self.matcher.predict, stm, parameters)

    async def ask(self, work: Callable[[Matcher], Result]) -> Result:
        """Return what `work` reads from the matcher, for what takes as long as the KB is large.

        Runs off the event loop; nothing is applied meanwhile.
        """
        await self._gate.enter()
        return await self._reading(work, self.matcher)

    async def memory(self) -> int:
        """Return the bytes that the index holds."""
        return sum((await self.ask(lambda matcher: matcher.memory())).values())

    async def point_in_time(self) -> PointInTime:
        """Return the KB as it stands at one moment from now on, to be read piece by piece while it goes on."""
        await self._gate.enter()
        taking = asyncio.create_task(self._point())  # to the end, as its thread, when the caller is cancelled
        return await asyncio.shield(taking)

    async def knows(self, op_id: str) -> bool:
        """Say whether the log holds this operation, or held it within the last 24 hours."""
        return op_id in await self._store.known(self.node, (op_id,))

    async def fold(self) -> None:
        """Write what has changed into the store's patterns and let the log behind it go."""
        async with self._folding:
            while self._folded < self.seq:
                changes, self._changes = self._changes, Changes()
                fold = self._fold_of(changes)
                try:
                    self._folded = await self._store.fold(self.node, fold)
                except BaseException:  # cut off too: what was written of it counts nowhere
                    self._changes = changes.then(self._changes)
                    raise
                if self._folded < fold.end:  # another replica has folded a part of it
                    self._changes = changes.after(self._folded).then(self._changes)

    async def keep_up(self) -> None:
        """Wait for a fold when much has come since the last: so a fold, and the log that a start reads, stay short."""
        if self._reached(FOLD_BEHIND, FOLD_BEHIND_BYTES):
            await self.fold()

    async def stop(self) -> None:
        """Break off a fold that is under way; the log holds what it has not written, and the next start folds on."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def keep_copy(self) -> None:
        """Leave a copy of the index for the next start where that is worth a file; the KB is folded and at rest."""
        copies = self._store.copies
        if copies is None:
            return
        if self.matcher.totals().total_unique_patterns < COPY_FROM:
            await self._off_loop(copies.drop, self.node)
            return
        snapshot = await self._store.load(self.node)
        if snapshot.seq != self.seq or snapshot.fold_id is None or snapshot.fold_id == self._copied:
            return
        if dump := await self._off_loop(self.matcher.dump):
            await self._off_loop(copies.keep, self.node, snapshot.fold_id, dump)

    def _restore(self, matcher: Matcher, snapshot: Snapshot) -> bool:
        """Take the patterns of `snapshot` from a copy; False when there is none of this very fold."""
        copies = self._store.copies
        if copies is None or snapshot.fold_id is None:
            return False
        dump = copies.find(self.node, snapshot.fold_id)
        if not dump or not matcher.restore(dump, snapshot.vectors):
            return False
        self._copied = snapshot.fold_id
        return True

    def _fold_of(self, changes: Changes) -> Fold:
        records = [record for name in sorted(changes.patterns) if (record := self.matcher.record(name))]
        vectors, now = self.matcher.vectors(), self._clock.now()
        return Fold(
            self._folded,
            self.seq,
            records,
            frozenset(changes.deleted),
            {symbol: vectors[symbol] for symbol in sorted(changes.vectors) if symbol in vectors},
            bool(changes.cleared),
            now,
            now - KEEP_OP_IDS,
        )

    async def _write(self) -> None:
        """Append what waits, entry by entry, until nothing does."""
        batch: list[Waiting] = []
        try:
            while self._queue:
                batch, self._queue = self._queue[:ENTRY_UNITS], self._queue[ENTRY_UNITS:]
                try:
                    async with self._advancing:
                        await self._append([operation for operations, _ in batch for operation in operations])
                except KatoError as error:
                    # Whoever came in the meantime would wait as long again for the same answer.
                    _fail([*batch, *self._queue], error)
                    self._queue = []
                else:
                    _answer(batch, self.seq)
                    self._appended(self.node, self.seq)
                self._fold_when_due()
        finally:
            self._writing = False
            _fail([*batch, *self._queue], StoreUnavailable("the writer of this knowledge base has stopped"))
            self._queue = []

    async def _append(self, operations: Iterable[Operation], check: Callable[[], None] = lambda: None) -> None:
        remaining = {operation.op_id: operation for operation in operations}
        lost = 0
        while remaining:
            check()
            some = tuple(islice(remaining.values(), ENTRY_OPERATIONS))
            entry = Entry(self.seq + 1, self._clock.now(), some)
            try:
                await self._store.append(self.node, entry)
            except SequenceTaken as taken:
                before = self.seq
                await self._catch_up()
                lost = lost + 1 if self.seq == before else 0
                if lost == UNSEEN:
                    raise StoreUnavailable(f"{taken}, and not to be seen") from taken
                await asyncio.sleep(lost * UNSEEN_SECONDS)
            except RepeatedOperation as repeated:
                await self._catch_up()
                remaining = {op_id: found for op_id, found in remaining.items() if op_id not in repeated.op_ids}
            else:
                async with self._gate.writing():
                    self._take([entry])
                for operation in some:
                    del remaining[operation.op_id]

    async def _catch_up(self) -> None:
        try:
            entries = await self._store.tail(self.node, self.seq)
        except LogCompacted:
            await self.load(told=True)
            return
        async with self._gate.writing():
            self._take(entries)
        self._fold_when_due(FOLD_BEHIND, FOLD_BEHIND_BYTES)  # who learns folds; this is for when it does not

    def _take(self, entries: Iterable[Entry], *, told: bool = True) -> None:
        for entry in entries:
            for operation in entry.operations:
                for point in self._points:
                    point.before(operation)
                self.matcher.apply(operation)
                self._changes.note(operation, entry.seq)
                if told and isinstance(operation, Learning):
                    self._learned(self.node, operation)
            self.seq = entry.seq

    def _fold_when_due(self, operations: int = FOLD_AFTER, size: int = FOLD_AFTER_BYTES) -> None:
        if self._reached(operations, size) and not self._folding.locked():
            self._spawn(self._fold_in_passing())

    def _reached(self, operations: int, size: int) -> bool:
        return self._changes.operations >= operations or self._changes.size >= size

    async def _fold_in_passing(self) -> None:
        try:
            await self.fold()
        except StoreUnavailable as error:
            log.warning("fold_failed", node=self.node, error=str(error))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _point(self) -> PointInTime:
        """Keep nothing from changing, behind the gate that the caller has entered, until the point hears of changes."""
        try:
            point = PointInTime(self.matcher, await self._off_loop(self.matcher.names))
            self._points.add(point)
            return point
        finally:
            self._gate.leave()

    async def _reading(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Read the matcher in a thread, behind the gate that the caller has entered."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        # The thread goes on when the caller is cancelled: the gate opens when the thread has done.
        running.add_done_callback(lambda _: self._gate.leave())
        return await asyncio.shield(running)

    async def _off_loop(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def _answer(batch: Iterable[Waiting], seq: int) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_result(seq)


def _fail(batch: Iterable[Waiting], error: KatoError) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)
