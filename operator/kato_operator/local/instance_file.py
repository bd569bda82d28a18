"""The older instance file: `instances: [{id, name, port, recall_threshold, ...}]`, snake_case or kebab-case keys.

Called by `wanted` (spec: cli.md, "Instance file").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kato_operator.local.files import Document, FieldPath
from kato_operator.local.names import sanitise
from kato_operator.local.ports import API_PORT, PORT_MAX
from kato_operator.local.problems import Problem
from kato_spec.errors import Rejected, shown
from kato_spec.parameters import OLDER_NAMES, InvalidParameters, Parameters, parse_overrides

_OWN = ("id", "name", "port")
_KEYS = (*_OWN, *Parameters.model_fields, *OLDER_NAMES)


@dataclass(frozen=True, slots=True)
class Entry:
    """One instance of the file; `requested` is the ID as written, `parameters` are in the current spelling."""

    id: str
    requested: str
    name: str | None
    port: int
    parameters: Mapping[str, Any]


def instances_of(document: Document) -> tuple[list[tuple[int, Entry]], list[Problem]]:
    """Return the entries with their index in the list, and everything wrong with the others."""
    problems = [
        document.refusal((key,), document.data[key], "instances alone, beside no other key")
        for key in document.data
        if key != "instances"
    ]
    entries: list[tuple[int, Entry]] = []
    items = document.data["instances"]
    if not isinstance(items, list):
        return [], [*problems, document.refusal(("instances",), items, "a list of instances")]
    for index, item in enumerate(items):
        path: FieldPath = ("instances", index)
        if not isinstance(item, dict):
            problems.append(document.refusal(path, item, "a mapping with id, name, port and session parameters"))
            continue
        entry, wrong = _entry(item)
        problems += [document.problem((*path, key), message) for key, message in wrong]
        if entry is not None and not wrong:
            entries.append((index, entry))
    return entries, problems


def _entry(item: Mapping[str, Any]) -> tuple[Entry | None, list[tuple[str, str]]]:
    """Return one entry, or what is wrong: the key as written, and why."""
    written: dict[str, str] = {}
    wrong: list[tuple[str, str]] = []
    for key in item:
        name = key.replace("-", "_")
        if name not in _KEYS:
            wrong.append((key, f"is no key of an instance; the keys: {', '.join(_KEYS)}"))
        elif name in written:
            wrong.append((key, f"is given twice, also as {written[name]}"))
        else:
            written[name] = key
    values = {name: item[key] for name, key in written.items()}
    instance_id, own_wrong = _own(values)
    wrong += own_wrong
    parameters: Mapping[str, Any] = {}
    try:
        parameters = parse_overrides({name: value for name, value in values.items() if name not in _OWN}).values
    except InvalidParameters as error:
        wrong += [(written[name], message) for name, message in error.problems.items()]
    if wrong:
        return None, wrong
    return Entry(instance_id, str(values["id"]), values.get("name"), values.get("port", API_PORT), parameters), []


def _own(values: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    """Check what is no session parameter; return the ID (a number is taken as its digits) and what is wrong."""
    wrong: list[tuple[str, str]] = []
    instance_id, port, name = "", values.get("port", API_PORT), values.get("name")
    try:
        instance_id = sanitise(str(values.get("id", "")))
    except Rejected as error:
        wrong.append(("id", _refused(values.get("id"), error.allowed)))
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= PORT_MAX:
        wrong.append(("port", _refused(port, f"1..{PORT_MAX}")))
    if not (name is None or (isinstance(name, str) and 0 < len(name) <= 256)):
        wrong.append(("name", _refused(name, "a text of 1 to 256 characters")))
    return instance_id, wrong


def _refused(value: object, allowed: str) -> str:
    return f"{shown(value)} is not allowed; allowed: {allowed}"
