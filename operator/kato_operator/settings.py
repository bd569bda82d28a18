"""Every setting of the operator's process, from environment variables KATO_OPERATOR_*.

Read by the composition root alone, which hands each room what it needs.
"""

from __future__ import annotations

import os
import socket
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "KATO_OPERATOR_"
Name = Annotated[str, Field(min_length=1, max_length=253)]
MaybeName = Annotated[str, Field(max_length=253)]


class OperatorSettings(BaseSettings):
    """The operator's settings; a variable with the prefix that means nothing is refused."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    namespace: Name = Field("default", description="Namespace of the operator itself, where its Lease is.")
    pod_name: Name = Field(default_factory=socket.gethostname, description="Name of this replica; holder of the Lease.")
    watch_namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Namespaces whose processors it serves, comma separated; empty: all of them."
    )
    role_binding: MaybeName = Field(
        "", description="RoleBinding that gives it its rights in each of them, kept until no memory waits for removal."
    )
    service_image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")] = Field(
        "kato-service:0.1.0", description="Image of the pods of a processor that names none."
    )
    leader_election: bool = Field(True, description="Elect a leader by a Lease; off: this is the only replica.")
    lease_name: Name = Field("kato-operator", description="Name of the Lease.")
    lease_seconds: Annotated[float, Field(ge=3, le=60)] = Field(
        10, description="How long a leader that fell silent keeps the Lease, in seconds."
    )
    host: str = Field("0.0.0.0", description="Address of metrics and health.")  # noqa: S104 - probed from outside
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8080, description="Port of metrics and health; 0: any.")
    resync_seconds: Annotated[float, Field(ge=1)] = Field(
        300, description="How often the watches are compared with listings, in seconds."
    )
    sweep_seconds: Annotated[float, Field(ge=1)] = Field(
        600, description="How often what deleted objects left is looked for, in seconds."
    )
    counters_seconds: Annotated[float, Field(ge=1)] = Field(
        30, description="How often counters in a status are refreshed at most, in seconds."
    )
    stores_mongodb_secret: MaybeName = Field(
        "", description="Secret of its own namespace that names the MongoDB of processors without storage of their own."
    )
    stores_mongodb_key: Name = Field("uri", description="Key of that Secret with the connection string.")
    stores_redis_secret: MaybeName = Field(
        "", description="Secret of its own namespace that names the Redis of those processors."
    )
    stores_redis_key: Name = Field("url", description="Key of that Secret with the URL.")
    cleanup_deadline_seconds: Annotated[float, Field(ge=1)] = Field(
        60, description="With deletionPolicy Delete: how long the removal of memory is tried, in seconds."
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(16, description="Objects reconciled at the same time.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["json", "console"] = Field("json", description="How the log is written.")

    @field_validator("watch_namespaces", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        """Take a comma-separated list as one."""
        return tuple(filter(None, map(str.strip, given.split(",")))) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _both_stores(self) -> Self:
        """Refuse one store without the other."""
        if bool(self.stores_mongodb_secret) is not bool(self.stores_redis_secret):
            raise ValueError("stores_mongodb_secret and stores_redis_secret are needed together")
        return self

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: dict[str, object]) -> dict[str, object]:
        """Refuse a variable that is spelt wrong: it would be silently without effect."""
        names = {PREFIX + name.upper() for name in cls.model_fields}
        unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in names)
        if unknown:
            raise ValueError(f"no such settings: {', '.join(unknown)}; there are {', '.join(sorted(names))}")
        return values
