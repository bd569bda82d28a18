"""The settings of one service process, from the environment (`KATO_*`) or from keywords.

Read by the wiring rooms alone: `app` and the command line's `kato serve`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kato_spec.keys import RESERVED_IDS

Port = Annotated[int, Field(ge=0, le=65535)]


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
    internal_host: str = Field("127.0.0.1", description="The address that the operator's side door listens on.")
    internal_port: Port | None = Field(None, description="The port of the side door; unset closes it, 0 takes any.")
    internal_token: SecretStr | None = Field(None, description="The bearer token of the side door.")
    data_dir: Path | None = Field(None, description="The directory of the databases; unset keeps nothing.")
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

    @model_validator(mode="after")
    def _side_door_is_guarded(self) -> Self:
        if self.internal_port is not None and not (self.internal_token and self.internal_token.get_secret_value()):
            raise ValueError("internal_token is needed where internal_port is set")
        return self

    @property
    def api_tokens(self) -> tuple[str, ...]:
        """The API's bearer tokens; none means that none is asked for."""
        text = self.tokens.get_secret_value() if self.tokens else ""
        return tuple(token for part in text.split(",") if (token := part.strip()))
