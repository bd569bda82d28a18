"""The tables of tests/manifests: what must be refused, with the field to blame, and what must be accepted.

Read by the unit tests, which ask `kato_spec.manifests`, and by the cluster tests, which ask an API server.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "tests" / "manifests"
QUICKSTART = ROOT / "examples" / "quickstart.yaml"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Invalid:
    """A manifest that must be refused for `field` alone; `why` says so to a reader."""

    name: str
    why: str
    field: str
    manifest: Document


@dataclass(frozen=True, slots=True)
class Valid:
    """A manifest that must be accepted."""

    name: str
    manifest: Document


@dataclass(frozen=True, slots=True)
class Update:
    """A change from one accepted spec to another; `field` may not change so, or is None where all is well."""

    name: str
    kind: str
    old: Document
    new: Document
    field: str | None = None
    why: str = ""

    def documents(self) -> tuple[Document, Document]:
        """Return the object before and after."""
        head = {"apiVersion": "kato.dev/v1alpha1", "kind": self.kind, "metadata": {"name": self.name}}
        return head | {"spec": self.old}, head | {"spec": self.new}


def invalid() -> list[Invalid]:
    """Return the manifests that must be refused."""
    return [Invalid(**row) for row in _rows("invalid.yaml")]


def valid() -> list[Valid]:
    """Return the manifests that must be accepted, those of the quick start too."""
    documents = yaml.safe_load_all(QUICKSTART.read_text("utf-8"))
    shown = [Valid(f"quickstart-{document['metadata']['name']}", document) for document in documents]
    return shown + [Valid(**row) for row in _rows("valid.yaml")]


def updates() -> list[Update]:
    """Return the changes of a spec, good and bad."""
    return [Update(**row) for row in _rows("updates.yaml")]


def _rows(table: str) -> list[dict[str, Any]]:
    """Read one table."""
    rows: list[dict[str, Any]] = yaml.safe_load((TABLES / table).read_text("utf-8"))
    return rows
