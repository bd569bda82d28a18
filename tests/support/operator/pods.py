"""The `Sessions` port on real processors inside the test's process: what a pod would say, by the service's own code."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from kato_operator.reconcile.ports import Conflict, PodAddress, Refused, StoreAway
from kato_service.processor import errors
from kato_service.processor.processor import Processor
from kato_spec.errors import Rejected, Transient
from kato_spec.parameters import InvalidParameters
from kato_spec.records import DeclarationRecord, DeclaredSession, ParametersRecord, StateRecord
from tests.support.operator.clock import HeldClock
from tests.support.processors import World

T = TypeVar("T")


@dataclass
class ServiceClock:
    """The operator's held clock as the service reads it."""

    held: HeldClock

    def now(self) -> float:
        return self.held.now().timestamp()


class PodsInProcess:
    """Processors by pod address; those in `silent` do not answer, those in `cut_off` have no store. `asked`: looks."""

    def __init__(self, clock: HeldClock) -> None:
        self._clock = clock
        self.running: dict[str, Processor] = {}
        self.silent: set[str] = set()
        self.cut_off: set[str] = set()
        self.asked = 0
        self._started = 0

    async def start(self, ip: str) -> Processor:
        """Start a processor with an empty memory at an address."""
        self._started += 1  # so that no two of them give sessions the same id
        world = World(clock=ServiceClock(self._clock), processes=self._started)  # type: ignore[arg-type] # duck-typed
        self.running[ip] = await world.started()
        return self.running[ip]

    async def stop(self) -> None:
        for processor in self.running.values():
            await processor.stop()

    async def state(self, pod: PodAddress) -> StateRecord:
        self.asked += 1
        if pod.ip in self.cut_off:
            raise StoreAway(pod.name, "Redis")
        return await self._at(pod).state()

    async def tell_parameters(self, pod: PodAddress, record: ParametersRecord) -> None:
        await self._told(pod, self._at(pod).parameters.put(record))

    async def declare(self, pod: PodAddress, record: DeclarationRecord) -> DeclaredSession:
        return await self._told(pod, self._at(pod).declarations.put(record))

    async def withdraw(self, pod: PodAddress, uid: str) -> None:
        try:
            await self._at(pod).declarations.withdraw(uid)
        except errors.DeclarationNotFound:
            return

    def _at(self, pod: PodAddress) -> Processor:
        if pod.ip in self.silent or pod.ip not in self.running:
            raise Transient(f"pod {pod.name} does not answer")
        return self.running[pod.ip]

    async def _told(self, pod: PodAddress, answer: Awaitable[T]) -> T:
        """Return the answer, or raise what its HTTP form would be taken for."""
        try:
            return await answer
        except errors.StaleGeneration as error:
            raise Conflict(str(error)) from error
        except (Rejected, InvalidParameters) as error:
            raise Refused(f"pod {pod.name}", "RefusedByProcessor", str(error)) from error
