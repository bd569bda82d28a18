"""What the operator and the service tell each other, the same JSON by Redis and by the internal API.

Spec: operator.md, "How the operator and the service speak". Desired state goes in (`ParametersRecord`,
`DeclarationRecord`), observed state comes back (`StateRecord`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """Base of the records: immutable, unknown keys refused, snake_case JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SessionDefaults(Record):
    """What a new session of the processor gets unless it asks for something else (`spec.sessions`)."""

    ttl_seconds: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        3600, description="Time to live without activity, in seconds."
    )
    auto_extend: bool = Field(True, description="Whether every use of a session begins its time to live anew.")
    max_active: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        0, description="Most sessions that may be active at once; 0 means any number."
    )


class ParametersRecord(Record):
    """A processor's desired configuration. A record of another `uid` than the CR's configures nothing."""

    uid: str
    generation: Annotated[int, Field(ge=0)]
    display_name: str | None = None
    parameters: dict[str, Any] = {}
    sessions: SessionDefaults = SessionDefaults()


class DeclarationRecord(Record):
    """One KatoSession as the service is to hold it. `config` is in the current HTTP spelling."""

    uid: str
    generation: Annotated[int, Field(ge=0)]
    name: str
    user_id: Annotated[str, Field(min_length=1)]
    config: dict[str, Any] = {}
    ttl_seconds: Annotated[int, Field(ge=1)] | None = None
    expiry_policy: Literal["Expire", "Renew"] = "Expire"
    metadata: dict[str, str] = {}


class DeclaredSession(Record):
    """What became of a declaration: the session it is bound to and how that session stands."""

    uid: str
    generation: int
    session_id: str | None
    phase: Literal["Pending", "Active", "Expired"]
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_activity: datetime | None = None
    stm_length: int = 0


class StateRecord(Record):
    """One replica's observed state: the generation that is live, counts, and every declared session."""

    processor_id: str
    parameters_uid: str | None
    parameters_generation: int | None
    patterns: int
    active_sessions: int
    declared: list[DeclaredSession] = []
