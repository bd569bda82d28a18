"""The processor's live parameters and what a session resolves to. Called by every flow that needs a parameter."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from kato_service.processor.errors import StaleGeneration
from kato_service.processor.events import Events
from kato_service.processor.ports import SessionStore
from kato_spec.parameters import Parameters, parse_overrides, resolve
from kato_spec.records import ParametersRecord, SessionDefaults

CACHED = 1024


class LiveParameters:
    """The record that is live, if any was ever put, over the defaults of `kato_spec.parameters`."""

    def __init__(self, store: SessionStore, events: Events) -> None:
        self.record: ParametersRecord | None = None
        self._store, self._events = store, events
        # What was read of the store is live before anything else is read or written: no older record comes last.
        self._turn = asyncio.Lock()
        self._values: Mapping[str, Any] = {}
        self._resolved: dict[bytes, Parameters] = {}

    async def load(self) -> bool:
        """Take up the record that the store holds; say whether it is another one than before.

        Raises:
            InvalidParameters: naming every bad value; what was live stays so.
        """
        async with self._turn:
            record = await self._store.parameters()
            if record == self.record:
                return False
            self._go_live(record)
            return True

    async def put(self, record: ParametersRecord) -> None:
        """Make `record` live; the same generation again changes nothing, another uid always counts as newer.

        Raises:
            StaleGeneration: a newer generation of the same uid is live.
            InvalidParameters: naming every bad value; nothing of the record is live then.
        """
        async with self._turn:
            live = self.record
            if live and live.uid == record.uid and record.generation < live.generation:
                raise StaleGeneration(record.generation, live.generation)
            await self._renew(record)

    async def offer(self, record: ParametersRecord) -> None:
        """Make `record` live unless the live one is of the same uid and as new or newer.

        Raises:
            InvalidParameters: naming every bad value.
        """
        async with self._turn:
            await self._renew(record)

    async def _renew(self, record: ParametersRecord) -> None:
        """Store a record and make it live, unless the live one is of the same uid and as new or newer."""
        live = self.record
        if live and live.uid == record.uid and live.generation >= record.generation:
            return
        parse_overrides(record.parameters)
        await self._store.save_parameters(record)
        self._go_live(record)

    def resolve(self, overrides: Mapping[str, Any]) -> Parameters:
        """Lay a session's overrides over the processor's parameters."""
        key = orjson.dumps(overrides)
        found = self._resolved.get(key)
        if found is None:
            if len(self._resolved) >= CACHED:
                self._resolved.clear()
            found = self._resolved[key] = resolve(self._values, overrides)
        return found

    @property
    def sessions(self) -> SessionDefaults:
        """What a new session gets unless it asks for something else."""
        return self.record.sessions if self.record else SessionDefaults()

    def _go_live(self, record: ParametersRecord | None) -> None:
        self._values = parse_overrides(record.parameters).values if record else {}
        self.record = record
        self._resolved = {}
        changed = {"generation": record and record.generation, "display_name": record and record.display_name}
        # Every replica takes up what the store holds, and so tells its own listeners.
        self._events.publish_here("parameters.changed", {**changed, "parameters": self.resolve({}).model_dump()})
