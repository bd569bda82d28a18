"""What is wanted of this machine: documents become instances and sessions, or the full list of what is wrong.

Called by `reconcile` before anything is started (spec: cli.md, `kato apply`). The verdict on a manifest is
`kato_spec.manifests`; what one machine cannot do at all is refused here, what has no effect on it is named.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kato_operator.local.files import Document, FieldPath
from kato_operator.local.instance_file import instances_of
from kato_operator.local.problems import InvalidFiles, Problem
from kato_spec.manifests import InvalidManifest, validate, validate_update
from kato_spec.processor import KatoProcessor
from kato_spec.records import DeclarationRecord, ParametersRecord
from kato_spec.session import KatoSession

# Fields that only a cluster can give a meaning; a manifest with them works here all the same.
CLUSTER_ONLY = (
    *("affinity", "env", "image", "imagePullPolicy", "imagePullSecrets", "nodeSelector", "podAnnotations"),
    *("podLabels", "priorityClassName", "removeAfterExpirySeconds", "resources", "serviceAccountName"),
    *("serviceAnnotations", "serviceType", "storage", "tolerations", "topologySpreadConstraints"),
)
SESSION_LABEL = "katosession.kato.dev/"
Object = TypeVar("Object", "WantedInstance", "WantedSession")


@dataclass(frozen=True, slots=True)
class WantedInstance:
    """One instance as asked for. `record` still lacks its identity: uid and generation are given when it is compared.

    `manifest` is the KatoProcessor's document, None in the instance file's form; `place` is where it stands.
    """

    id: str
    label: str
    place: str
    source: str
    requested: str
    record: ParametersRecord
    port: int
    manifest: Mapping[str, Any] | None = None
    tokens: str = ""
    suspended: bool = False
    deletes_memory: bool = False


@dataclass(frozen=True, slots=True)
class WantedSession:
    """One declared session as asked for; its `record` lacks its identity likewise."""

    name: str
    label: str
    place: str
    source: str
    processor: str
    manifest: Mapping[str, Any]
    record: DeclarationRecord


@dataclass(slots=True)
class Wanted:
    """Everything that the user's files ask for; `notes` name what has no effect here."""

    sources: frozenset[str] = frozenset()
    instances: dict[str, WantedInstance] = field(default_factory=dict)
    sessions: dict[str, WantedSession] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ports: dict[int, str] = field(default_factory=dict)  # of the instance files: port -> where it was asked for


@dataclass(frozen=True, slots=True)
class Known:
    """The manifests that are in force, by name: what may not change is compared with them."""

    processors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sessions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def wanted(documents: Sequence[Document], problems: list[Problem], known: Known) -> Wanted:
    """Check everything that `-f` named, as `files.read` found it.

    Raises:
        InvalidFiles: with every problem of every document; nothing may be started then.
    """
    secrets = _secrets(documents, problems)
    found = Wanted(sources=frozenset(document.source for document in documents))
    for document in documents:
        if "instances" in document.data and "kind" not in document.data:
            _add_instances(document, found, problems)
        elif not _is_secret(document):
            _add_manifest(document, known, secrets, found, problems)
    if problems:
        raise InvalidFiles(sorted(problems, key=lambda problem: (problem.file, problem.line)))
    return found


def _add_instances(document: Document, found: Wanted, problems: list[Problem]) -> None:
    entries, wrong = instances_of(document)
    problems += wrong
    for index, entry in entries:
        instance = WantedInstance(
            id=entry.id,
            label=f"instance/{entry.id}",
            place=f"{document.file}:{document.line(('instances', index))}",
            source=document.source,
            requested=entry.requested,
            record=ParametersRecord(uid="", generation=0, display_name=entry.name, parameters=dict(entry.parameters)),
            port=entry.port,
        )
        _add(found.instances, instance.id, instance, document.problem(("instances", index, "id"), ""), problems)
        _add_port(document, index, found.ports, problems)


def _add_port(document: Document, index: int, ports: dict[int, str], problems: list[Problem]) -> None:
    """Refuse a port that two instances name; the port of a manifest is its Service's, which many may share."""
    port, path = document.data["instances"][index].get("port"), ("instances", index, "port")
    if port in ports:
        problems.append(document.problem(path, f"{port} is given twice, first at {ports[port]}: take another port"))
    elif port is not None:
        ports[port] = f"{document.file}:{document.line(path)}"


def _add_manifest(
    document: Document, known: Known, secrets: Mapping[str, Mapping[str, str]], found: Wanted, problems: list[Problem]
) -> None:
    try:
        old = _in_force(document.data, known)
        manifest = validate(document.data) if old is None else validate_update(old, document.data)
    except InvalidManifest as error:
        problems += [document.refusal(problem.path, problem.value, problem.allowed) for problem in error.problems]
        return
    name = manifest.metadata.name
    twice = document.problem(("metadata", "name"), "")
    if isinstance(manifest, KatoSession):
        before = None if old is None else old["spec"].get("userId", name)
        if before not in (None, manifest.user_id()):
            problems.append(document.refusal(("spec", "userId"), manifest.user_id(), f"{before!r}: it is immutable"))
        _add(found.sessions, name, _session(document, manifest), twice, problems)
    else:
        problems += [document.refusal(*refusal) for refusal in _impossible(manifest, secrets)]
        _add(found.instances, name, _processor(document, manifest, secrets), twice, problems)
    found.notes += _notes(document, f"{manifest.kind.lower()}/{name}")


def _in_force(data: Mapping[str, Any], known: Known) -> Mapping[str, Any] | None:
    """Return the manifest that this document would replace."""
    metadata = data.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    kind = {"KatoProcessor": known.processors, "KatoSession": known.sessions}.get(str(data.get("kind")), {})
    return kind.get(name) if isinstance(name, str) else None


def _add(objects: dict[str, Object], key: str, new: Object, twice: Problem, problems: list[Problem]) -> None:
    if key in objects:
        message = f"{key!r} is given twice, first at {objects[key].place}: leave one of them"
        problems.append(Problem(twice.file, twice.line, twice.field, message))
    else:
        objects[key] = new


def _processor(document: Document, manifest: KatoProcessor, secrets: Mapping[str, Mapping[str, str]]) -> WantedInstance:
    spec, name = manifest.spec, manifest.metadata.name
    reference = spec.auth.tokens_secret_ref if spec.auth else None
    return WantedInstance(
        id=name,
        label=f"katoprocessor.kato.dev/{name}",
        place=f"{document.file}:{document.line(('metadata', 'name'))}",
        source=document.source,
        requested=name,
        record=manifest.record("", 0),
        port=spec.port,
        manifest=document.data,
        tokens=secrets.get(reference.name, {}).get(reference.key, "") if reference else "",
        suspended=spec.suspend or spec.replicas == 0,
        deletes_memory=spec.deletion_policy == "Delete",
    )


def _session(document: Document, manifest: KatoSession) -> WantedSession:
    return WantedSession(
        name=manifest.metadata.name,
        label=f"{SESSION_LABEL}{manifest.metadata.name}",
        place=f"{document.file}:{document.line(('metadata', 'name'))}",
        source=document.source,
        processor=manifest.spec.processor_ref.name,
        manifest=document.data,
        record=manifest.record("", 0),
    )


def _impossible(
    manifest: KatoProcessor, secrets: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[FieldPath, object, str]]:
    """Yield field, value and what is allowed for all that a good manifest may ask of a cluster, but not of a laptop."""
    spec = manifest.spec
    if spec.replicas > 1:
        yield ("spec", "replicas"), spec.replicas, "0 or 1 on one machine; more replicas need a cluster"
    if spec.autoscaling is not None:
        yield ("spec", "autoscaling"), "present", "absent on one machine; autoscaling needs a cluster"
    if spec.storage is not None and spec.storage.external is not None:
        yield ("spec", "storage", "external"), "present", "embedded storage on one machine"
    if spec.auth is not None:
        reference = spec.auth.tokens_secret_ref
        path: FieldPath = ("spec", "auth", "tokensSecretRef")
        if reference.name not in secrets:
            yield (*path, "name"), reference.name, "the name of a Secret among the files that are applied"
        elif not secrets[reference.name].get(reference.key):
            yield (*path, "key"), reference.key, f"a key of the Secret {reference.name} that holds tokens"


def _notes(document: Document, label: str) -> list[str]:
    fields = [f"spec.{key}" for key in (document.data.get("spec") or {}) if key in CLUSTER_ONLY]
    fields += ["metadata.namespace"] * ("namespace" in document.data["metadata"])
    return [f"{label}: no effect on one machine: {', '.join(fields)}"] if fields else []


def _is_secret(document: Document) -> bool:
    return document.data.get("kind") == "Secret" and document.data.get("apiVersion") == "v1"


def _secrets(documents: Sequence[Document], problems: list[Problem]) -> dict[str, dict[str, str]]:
    """Return the Secrets among the documents, decoded: name -> key -> value. No value ever enters a message."""
    found: dict[str, dict[str, str]] = {}
    for document in filter(_is_secret, documents):
        metadata = document.data.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if not isinstance(name, str):
            problems.append(document.refusal(("metadata", "name"), name, "the Secret's name"))
            continue
        values = found.setdefault(name, {})
        for part in ("data", "stringData"):
            entries = document.data.get(part) or {}
            if not isinstance(entries, Mapping):
                problems.append(document.problem((part,), "is not a mapping of keys to text"))
                continue
            for key, value in entries.items():
                try:
                    values[key] = base64.b64decode(value, validate=True).decode() if part == "data" else str(value)
                except (binascii.Error, UnicodeDecodeError, TypeError):
                    problems.append(document.problem((part, key), "is not base64 of UTF-8 text"))
    return found
