"""Where kato keeps its things on this machine: the registry, and one directory per instance.

Called by every module of this room, so that no other one builds a path (spec: cli.md, "Registry" and "Memory").
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kato_operator.local.names import is_id


@dataclass(frozen=True, slots=True)
class Home:
    """The directory that `KATO_HOME` names, `~/.kato` when it names none."""

    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Home:
        """Return the home of this user; nothing is created."""
        named = environment.get("KATO_HOME")
        return cls(Path(named).expanduser().absolute() if named else Path.home() / ".kato")

    @property
    def registry(self) -> Path:
        """The registry's file; scripts read it."""
        return self.root / "instances.json"

    @property
    def registry_lock(self) -> Path:
        """Held while the registry is read or changed: milliseconds."""
        return self.root / "instances.lock"

    @property
    def apply_lock(self) -> Path:
        """Held for the whole of an apply or delete, so that two of them act one after the other."""
        return self.root / "apply.lock"

    @property
    def stores(self) -> Path:
        """The directory of the shared stores that kato runs."""
        return self.root / "stores"

    def data(self, instance_id: str) -> Path:
        """Return the directory of one instance: its memory, its log and what was last asked of it."""
        return self.root / "data" / instance_id

    def log(self, instance_id: str) -> Path:
        """Return the file that the instance's output goes to."""
        return self.data(instance_id) / "service.log"

    def known(self, instance_id: str) -> bool:
        """Say whether an instance of this ID has ever been here; what is no ID never has."""
        return is_id(instance_id) and self.data(instance_id).is_dir()

    def prepare(self) -> None:
        """Create the home; only its owner may look into it."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)


def write_whole(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step, readable by its owner alone; a crash leaves the old or the new file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:  # a failed write does not know the file's name
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        draft.unlink(missing_ok=True)
