"""The settings of one service process, from the environment (`KATO_*`) or from keywords.

Read by the wiring rooms alone: `app` and the command line's `kato serve`.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kato_spec.errors import shown
from kato_spec.keys import RESERVED_IDS, database_name
from kato_spec.names import DatabaseName

_SECRETS = frozenset({"tokens", "internal_token", "mongodb_uri", "redis_url"})
SCHEMES = {"mongodb_uri": ("mongodb://", "mongodb+srv://"), "redis_url": ("redis://", "rediss://", "unix://")}
Port = Annotated[int, Field(ge=0, le=65535)]
Descriptor = Annotated[int, Field(ge=0)]


class Settings(BaseSettings):
    """Everything that `kato serve` may be told. A keyword wins over the environment; an unknown keyword is refused."""

    model_config = SettingsConfigDict(env_prefix="KATO_", frozen=True, extra="forbid", env_ignore_empty=True)

    processor_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$", max_length=128)] = Field(
        "kato", description="The processor's ID, used in paths and answers."
    )
    processor_name: Annotated[str, Field(min_length=1)] = Field(
        "KatoProcessor", description="The processor's human-readable name."
    )
    namespace: str = Field("local", description="The namespace in the names of keys and databases.")
    host: str = Field("127.0.0.1", description="The address that the API listens on.")
    port: Port = Field(8000, description="The port of the API; 0 takes any free one.")
    port_fd: Descriptor | None = Field(
        None, description="File descriptor of a socket that listens already: the API's, in place of host and port."
    )
    internal_host: str = Field("127.0.0.1", description="The address that the operator's side door listens on.")
    internal_port: Port | None = Field(None, description="The port of the side door; unset closes it, 0 takes any.")
    internal_port_fd: Descriptor | None = Field(
        None, description="File descriptor of a socket that listens already: the side door's; needs internal_port too."
    )
    internal_token: SecretStr | None = Field(None, description="The bearer token of the side door.")
    data_dir: Path | None = Field(
        None, description="The directory of the databases; unset, and no external stores either, keeps nothing."
    )
    mongodb_uri: SecretStr | None = Field(
        None, description="Connection string of the MongoDB that holds the memory; needs redis_url too."
    )
    mongodb_database: DatabaseName | None = Field(
        None, description="Database of the memory; unset: kato_ and a hash of namespace and processor_id."
    )
    redis_url: SecretStr | None = Field(
        None, description="URL of the Redis that holds the sessions; needs mongodb_uri too."
    )
    replica_name: Annotated[str, Field(pattern=r"^[-.\w]+$", max_length=253)] | None = Field(
        None, description="This replica's name among those that share the stores; unset: the host's name."
    )
    store_timeout_seconds: Annotated[float, Field(ge=0.1, le=60)] = Field(
        1.0, description="Seconds in which an external store gives a sign of life; longer ones delay the 503 as well."
    )
    parameters_file: Path | None = Field(None, description="A parameters record as JSON, taken up at the start.")
    tokens: SecretStr | None = Field(
        None, description="Bearer tokens of the API, comma-separated; unset asks for none."
    )
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(
        10 * 1024 * 1024, description="The largest request body, in bytes."
    )
    max_concurrent_requests: Annotated[int, Field(ge=0)] = Field(
        1000, description="Most requests that are answered at once; more are asked to come again, 0 means any number."
    )
    receive_seconds: Annotated[float, Field(gt=0)] = Field(
        60.0, description="Seconds in which the head of a request, and then its body, must have come."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level logged.")
    log_format: Literal["json", "console"] = Field("json", description="JSON lines, or lines for people.")
    grace_seconds: Annotated[int, Field(ge=0)] = Field(
        25, description="Seconds that requests in flight are given when the process is to stop."
    )

    @field_validator("processor_id")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in RESERVED_IDS:
            raise ValueError("is a path of the API itself; reserved are " + ", ".join(sorted(RESERVED_IDS)))
        return value

    @field_validator("mongodb_uri", "redis_url")
    @classmethod
    def _of_a_known_scheme(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        schemes = SCHEMES[info.field_name or ""]
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError("does not begin with " + " or ".join(schemes))
        return value

    @model_validator(mode="after")
    def _stores_are_whole(self) -> Self:
        if (self.mongodb_uri is None) != (self.redis_url is None):
            raise ValueError("mongodb_uri and redis_url are needed together")
        if self.mongodb_uri is not None and self.data_dir is not None:
            raise ValueError(
                "data_dir holds an embedded memory, and mongodb_uri names an external one; set one of them"
            )
        return self

    @model_validator(mode="after")
    def _side_door_is_whole(self) -> Self:
        if self.internal_port is not None and not (self.internal_token and self.internal_token.get_secret_value()):
            raise ValueError("internal_token is needed where internal_port is set")
        if self.internal_port_fd is not None and self.internal_port is None:
            raise ValueError("internal_port is needed where internal_port_fd is set")
        return self

    @property
    def database(self) -> str:
        """The MongoDB database of the memory."""
        return self.mongodb_database or database_name(self.namespace, self.processor_id)

    @property
    def replica(self) -> str:
        """The name of this replica."""
        return self.replica_name or socket.gethostname()

    @property
    def api_tokens(self) -> tuple[str, ...]:
        """The API's bearer tokens; none means that none is asked for."""
        text = self.tokens.get_secret_value() if self.tokens else ""
        return tuple(token for part in text.split(",") if (token := part.strip()))


def problems(error: ValidationError) -> list[str]:
    """Say what is wrong with each setting; a secret's value is never shown."""
    found = []
    for detail in error.errors(include_url=False):
        name = str(detail["loc"][0]) if detail["loc"] else ""
        value = "" if name in _SECRETS or not name else f"{shown(detail['input'])} is not allowed: "
        found.append(
            f"--{name.replace('_', '-')} (KATO_{name.upper()}): {value}{detail['msg']}" if name else detail["msg"]
        )
    return found
