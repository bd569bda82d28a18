"""What was last asked of an instance, kept in its own directory: its configuration, its sessions, its secrets.

Written by `reconcile` and `machine` before anything is done, so that whatever is interrupted is finished by the next
apply or start; the registry says only what runs (spec: cli.md, "Memory").
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kato_operator.local.home import Home, write_whole
from kato_spec.errors import Rejected
from kato_spec.records import DeclarationRecord, ParametersRecord

RecordT = TypeVar("RecordT", ParametersRecord, DeclarationRecord)


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AskedSession(_Kept):
    """One declared session: the file it came from, its manifest, and the record that the service gets."""

    source: str
    manifest: dict[str, Any]
    record: DeclarationRecord


class External(_Kept):
    """Stores that are not the instance's own SQLite: `shared` those of `kato stores`, else these two."""

    shared: bool = False
    mongodb_uri: str = ""
    redis_url: str = ""


class Asked(_Kept):
    """What is asked of one instance. `source` is the file it came from (empty: a command); `port` is the one wanted.

    `parameters` is None as long as only sessions were declared for a processor that has not been here yet.
    """

    source: str = ""
    requested: str = ""
    port: int = 0
    manifest: dict[str, Any] | None = None
    parameters: ParametersRecord | None = None
    sessions: dict[str, AskedSession] = {}
    tokens: str = ""
    stores: External | None = None


def load(home: Home, instance_id: str) -> Asked:
    """Return what was last asked of the instance; of one that is new, nothing.

    Raises:
        Rejected: the file is damaged.
    """
    path = _path(home, instance_id)
    try:
        return Asked.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Asked()
    except ValidationError as error:
        raise Rejected(
            str(path), "a damaged file", "what kato wrote: remove it and apply the manifest again"
        ) from error


def save(home: Home, instance_id: str, asked: Asked) -> None:
    """Keep what is asked of the instance, readable by its owner alone; its directory is made if it is new."""
    home.data(instance_id).mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(_path(home, instance_id), asked.model_dump_json(indent=2) + "\n")


def every(home: Home) -> Iterator[tuple[str, Asked]]:
    """Yield ID and wishes of every instance that has ever been asked for, by ID."""
    for path in sorted(home.data("").glob("*/asked.json")):
        yield path.parent.name, load(home, path.parent.name)


def internal_token(home: Home, instance_id: str) -> str:
    """Return the token of the instance's side door; it is made once and kept in a file of its own."""
    path = home.data(instance_id) / "internal-token"
    if not path.exists():
        write_whole(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="utf-8")


def successor(old: RecordT | None, new: RecordT) -> RecordT:
    """Give `new` its identity: the old record itself when they say the same, else one generation later.

    The first record of an instance gets a new uid, so that a memory found again takes it whatever it had before.
    """
    if old is None:
        return new.model_copy(update={"uid": str(uuid.uuid4()), "generation": 1})
    same = new.model_copy(update={"uid": old.uid, "generation": old.generation})
    if _content(same) == _content(old):
        return old
    return same.model_copy(update={"generation": old.generation + 1})


def _content(record: ParametersRecord | DeclarationRecord) -> Mapping[str, Any]:
    return record.model_dump(mode="json")


def _path(home: Home, instance_id: str) -> Path:
    return home.data(instance_id) / "asked.json"
