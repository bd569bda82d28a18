"""What the watches have shown: the last known version of every object that the operator cares about.

Fed by `feed` and by the answers to the operator's own writes, read by the stories. It may lag behind the API server
and is never trusted to say that something is not there: before anything is made, the API server is asked.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping

from kato_operator.desired.kinds import PROCESSOR, SESSION, Kind, Manifest
from kato_operator.desired.names import PROCESSOR_LABEL
from kato_operator.desired.storage import database_of

Place = tuple[str, str]
# Namespace and processor, or None and a database.
Group = tuple[str | None, str]
REMEMBERED = 4096


class Cache:
    """Objects by kind, namespace and name, by the processor that they belong to, and processors by their database."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[Place, Manifest]] = defaultdict(dict)
        self._members: dict[tuple[Kind, Group], set[Place]] = defaultdict(set)
        # UID -> version at which it went: an answer that comes after that news must not bring it back.
        self._gone: OrderedDict[str, int] = OrderedDict()

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return the object, or None when none was seen."""
        return self._objects[kind].get((namespace, name))

    def all(self, kind: Kind) -> Iterator[Manifest]:
        """Yield every object of `kind`."""
        yield from list(self._objects[kind].values())

    def count(self, kind: Kind) -> int:
        """Return how many objects of `kind` there are."""
        return len(self._objects[kind])

    def of_processor(self, kind: Kind, namespace: str, processor: str) -> list[Manifest]:
        """Return the objects of `kind` that belong to a processor, by name."""
        return self._in_group(kind, (namespace, processor))

    def in_database(self, database: str) -> list[Manifest]:
        """Return the processors whose memory is, or is to be, in a MongoDB database of that name, on any server."""
        return self._in_group(PROCESSOR, (None, database))

    def _in_group(self, kind: Kind, group: Group) -> list[Manifest]:
        objects = self._objects[kind]
        return [objects[place] for place in sorted(self._members.get((kind, group), ()))]

    def put(self, kind: Kind, manifest: Manifest) -> bool:
        """Keep `manifest` unless a newer version is known; say whether it is news."""
        place = place_of(manifest)
        known = self._objects[kind].get(place)
        if self._gone.get(manifest["metadata"]["uid"], -1) >= _version(manifest):
            return False
        if known is not None:
            if _version(known) >= _version(manifest):
                return False
            self._forget_member(kind, place, known)
        self._objects[kind][place] = manifest
        for group in _groups(kind, manifest):
            self._members[kind, group].add(place)
        return True

    def remove(self, kind: Kind, manifest: Manifest) -> bool:
        """Forget the very object that `manifest` was (by UID); say whether it was known."""
        place = place_of(manifest)
        self._gone[manifest["metadata"]["uid"]] = _version(manifest)
        if len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)
        known = self._objects[kind].get(place)
        if known is None or known["metadata"]["uid"] != manifest["metadata"]["uid"]:
            return False
        del self._objects[kind][place]
        self._forget_member(kind, place, known)
        return True

    def versions(self, kind: Kind) -> dict[Place, str]:
        """Return namespace and name -> resource version of what is known."""
        return {place: known["metadata"]["resourceVersion"] for place, known in self._objects[kind].items()}

    def _forget_member(self, kind: Kind, place: Place, known: Manifest) -> None:
        """Take an object off the lists that it stands on."""
        for group in _groups(kind, known):
            members = self._members[kind, group]
            members.discard(place)
            if not members:
                del self._members[kind, group]


def place_of(manifest: Manifest) -> Place:
    """Return an object's namespace and name."""
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def processor_of(kind: Kind, manifest: Manifest) -> str | None:
    """Return the name of the processor that an object belongs to: by its reference, or by its label."""
    if kind is SESSION:
        # What was stored under an older schema, or past any, is refused by its story and may name none.
        spec = manifest.get("spec")
        reference = spec.get("processorRef") if isinstance(spec, Mapping) else None
        name = reference.get("name") if isinstance(reference, Mapping) else None
        return name if isinstance(name, str) else None
    label: str | None = manifest["metadata"].get("labels", {}).get(PROCESSOR_LABEL)
    return label


def _groups(kind: Kind, manifest: Manifest) -> Iterator[Group]:
    """Yield the lists that an object stands on: its processor's, and for a processor its database's."""
    owner = processor_of(kind, manifest)
    if owner is not None:
        yield manifest["metadata"]["namespace"], owner
    if kind is PROCESSOR and (database := database_of(manifest)):
        yield None, database


def _version(manifest: Manifest) -> int:
    """Return the resource version as the number that it is since Kubernetes 1.35 says so; before, it was one too."""
    return int(manifest["metadata"]["resourceVersion"])
