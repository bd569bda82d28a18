"""Declared sessions: what the operator wants to exist, made and kept here. Called by the side door and the sweep.

Spec: operator.md, "KatoSession" and "How the operator and the service speak".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kato_service.processor.errors import DeclarationNotFound, InvalidRecord, StaleGeneration
from kato_service.processor.model import Binding, Declaration, Life, Session
from kato_service.processor.ports import SessionStore
from kato_service.processor.sessions import NOTHING, Sessions
from kato_spec.parameters import parse_overrides
from kato_spec.records import DeclarationRecord, DeclaredSession


class Declarations:
    """The declarations of one processor, each bound to one session."""

    def __init__(self, store: SessionStore, sessions: Sessions) -> None:
        self._store, self._sessions = store, sessions
        self._turn = asyncio.Lock()

    async def put(self, record: DeclarationRecord) -> DeclaredSession:
        """Bring the declared session to what `record` says, making it where it never was or is to be renewed.

        Raises:
            StaleGeneration: a newer generation of the declaration is here.
            InvalidRecord: it names another user than before.
            InvalidParameters: naming every bad value of its configuration.
        """
        parse_overrides(record.config)
        async with self._turn:
            while (declared := await self._put(record)) is None:
                continue  # another replica was faster; look again
            return declared

    async def withdraw(self, uid: str) -> None:
        """Remove a declaration and its session.

        Raises:
            DeclarationNotFound: there is none of this uid.
        """
        async with self._turn:
            known = await self._store.declaration(uid)
            session = await self._sessions.find(known.session_id) if known else None
            if not await self._store.withdraw(uid):
                raise DeclarationNotFound(uid)
            if session is not None:
                self._sessions.note_gone(session, "explicit_delete")

    async def renew(self, uid: str) -> None:
        """Make the session of a declaration again if it is gone and to be renewed."""
        async with self._turn:
            known = await self._store.declaration(uid)
            if known and known.record.expiry_policy == "Renew" and not await self._sessions.find(known.session_id):
                await self._bind(known.record, known)

    async def renew_all(self) -> None:
        """Do that for every declaration without a live session, however it came to have none."""
        for known in await self._sessions.unbound():
            if known.record.expiry_policy == "Renew":
                await self.renew(known.record.uid)

    async def state(self) -> list[DeclaredSession]:
        """Return how every declared session stands."""
        return list(map(_state, await self._sessions.bindings()))

    async def _put(self, record: DeclarationRecord) -> DeclaredSession | None:
        """Do what `put` says; None when the declaration has changed in the meantime."""
        known = await self._store.declaration(record.uid)
        if known is None:
            return await self._bind(record, None)
        _check_change(known.record, record)
        session = await self._sessions.find(known.session_id)
        if session is None and record.expiry_policy == "Renew":
            return await self._bind(record, known)
        declaration = Declaration(record, known.session_id)
        if known != declaration and not await self._store.declare(declaration, None, known):
            return None
        if session is not None and self._declared(session, record) != session:
            session = await self._bring(session.id, record)
        return _state(_binding(record, known.session_id, session))

    async def _bind(self, record: DeclarationRecord, known: Declaration | None) -> DeclaredSession | None:
        session = self._declared(self._sessions.new(record.user_id), record)
        if not await self._store.declare(Declaration(record, session.id), session, known):
            return None
        self._sessions.note_made(session)
        return _state(_binding(record, session.id, session))

    async def _bring(self, session_id: str, record: DeclarationRecord) -> Session:
        async def step(session: Session) -> tuple[Session, None]:
            return self._declared(session, record), None

        return (await self._sessions.act(session_id, step, NOTHING, slides=False)).session

    def _declared(self, session: Session, record: DeclarationRecord) -> Session:
        """Return the session as declared: it owns the keys it names; keys that others have set are left alone."""
        wanted: Mapping[str, Any] = parse_overrides(record.config).values
        kept = {key: value for key, value in session.config.items() if key not in session.declared_keys}
        ttl = record.ttl_seconds or self._sessions.default_ttl
        return replace(
            session,
            declaration=record.uid,
            declared_keys=tuple(sorted(wanted)),
            config={**kept, **wanted},
            metadata=record.metadata,
            ttl_seconds=ttl,
            expires_at=session.expires_at + ttl - session.ttl_seconds,
        )


def _check_change(known: DeclarationRecord, record: DeclarationRecord) -> None:
    if record.generation < known.generation:
        raise StaleGeneration(record.generation, known.generation)
    if record.user_id != known.user_id:
        raise InvalidRecord("user_id", record.user_id, f"{known.user_id!r}, which this declaration began with")


def _binding(record: DeclarationRecord, session_id: str, session: Session | None) -> Binding:
    return Binding.of(Declaration(record, session_id), Life.of(session) if session else None)


def _state(binding: Binding) -> DeclaredSession:
    uid, generation, session_id, life = binding.uid, binding.generation, binding.session_id, binding.life
    if life is None:
        return DeclaredSession(uid=uid, generation=generation, session_id=session_id, phase="Expired")
    return DeclaredSession(
        uid=uid,
        generation=generation,
        session_id=session_id,
        phase="Active",
        created_at=_time(life.created_at),
        expires_at=_time(life.expires_at),
        last_activity=_time(life.last_activity),
        stm_length=life.stm_length,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
