"""Is a child as it is wanted? The comparison before every apply, so that nothing is written without need.

Called by `reconcile`. Wanted manifests say only what the operator cares about; the API server fills in defaults and
others may add fields of their own. What the operator owns must match, quantities by value; lists and selectors must
hold nothing more than is wanted (spec: operator.md, "No needless writes").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from kato_operator.desired.kinds import Manifest
from kato_operator.desired.names import APPLIED_ANNOTATION
from kato_spec.errors import Rejected
from kato_spec.quantities import amount

Path = tuple[str, ...]

# Maps that mean something else when a key is added by another hand.
EXACT_MAPS = frozenset(
    {
        *("selector", "matchLabels", "nodeSelector", "affinity", "data"),
        # What a container may do, and what runs beside its command.
        *("securityContext", "capabilities", "seccompProfile", "lifecycle"),
    }
)
# Keys that no one may add, whatever else a map may hold; they are not written out empty, for some are refused then and
# others make new pods.
CLOSED_KEYS = frozenset({"sessionAffinityConfig", "shareProcessNamespace", "hostAliases"})
# Maps of quantities, and quantities.
QUANTITIES = frozenset({"requests", "limits", "sizeLimit", "divisor"})
# What tells the items of a list apart, by the first of these that all of them have.
ITEM_KEYS = ("mountPath", "uid", "name")
# Lists in which others may have items of their own.
SHARED_LISTS = frozenset({"ownerReferences"})


def stamped(wanted: Manifest) -> Manifest:
    """Return `wanted` with the digest of itself, by which a field that is no longer wanted is noticed."""
    metadata = wanted["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED_ANNOTATION: digest(wanted)}
    return {**wanted, "metadata": {**metadata, "annotations": annotations}}


def digest(manifest: Manifest) -> str:
    """Return a short digest of a manifest."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def drift(wanted: object, live: object, path: Path = (), *, extras: bool = True) -> Iterator[str]:
    """Yield the paths at which `live` is not as `wanted`; none means that there is nothing to write.

    Without `extras` what others added where no one may does not count: an apply would not take it away.
    """
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        yield from _map_drift(wanted, live, path, extras)
    elif isinstance(wanted, list) and isinstance(live, list):
        yield from _list_drift(wanted, live, path, extras)
    elif not _same(wanted, live, path):
        yield ".".join(path)


def _map_drift(wanted: Mapping[str, Any], live: Mapping[str, Any], path: Path, extras: bool) -> Iterator[str]:
    """Compare two maps: every wanted key, and where no one may add any no other."""
    for key, value in wanted.items():
        yield from drift(value, live.get(key), (*path, key), extras=extras)
    if extras:
        yield from (".".join((*path, key)) for key in live if key not in wanted and _is_closed(path, key))


def _is_closed(path: Path, key: str) -> bool:
    """Say whether no one may add `key` to the map at `path`."""
    return key in CLOSED_KEYS or (bool(path) and path[-1] in EXACT_MAPS)


def _list_drift(wanted: list[Any], live: list[Any], path: Path, extras: bool) -> Iterator[str]:
    """Compare two lists: by what tells their items apart, else by position."""
    key = _item_key(wanted, live)
    if key is None:
        if len(wanted) != len(live):
            yield ".".join(path)
            return
        for index, (one, other) in enumerate(zip(wanted, live, strict=True)):
            yield from drift(one, other, (*path, str(index)), extras=extras)
        return
    there = {item[key]: item for item in live}
    for item in wanted:
        yield from drift(item, there.pop(item[key], None), (*path, str(item[key])), extras=extras)
    if extras and path[-1] not in SHARED_LISTS:
        yield from (".".join((*path, str(name))) for name in there)


def _item_key(*lists: list[Any]) -> str | None:
    """Return the key that tells the items of all `lists` apart, or None when only their position does."""
    for key in ITEM_KEYS:
        if all(_tells_apart(key, items) for items in lists):
            return key
    return None


def _tells_apart(key: str, items: list[Any]) -> bool:
    """Say whether every item is a map with its own value of `key`."""
    if not all(isinstance(item, Mapping) and key in item for item in items):
        return False
    return len({item[key] for item in items}) == len(items)


def _same(wanted: object, live: object, path: Path) -> bool:
    """Compare two values: empty is as good as missing, and quantities count by what they amount to."""
    if wanted == live or (live is None and not wanted):
        return True
    if not QUANTITIES.isdisjoint(path[-2:]):
        try:
            return amount(wanted) == amount(live)
        except Rejected:
            return False
    return False


def without_extras(wanted: object, live: object, path: Path = ()) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return `live` laid under `wanted`, less what no one may add: for an update where an apply cannot remove."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        kept = {key: value for key, value in live.items() if key not in wanted and not _is_closed(path, key)}
        return kept | {key: without_extras(value, live.get(key), (*path, key)) for key, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(live, list):
        return _items_without_extras(wanted, live, path)
    return wanted


def _items_without_extras(wanted: list[Any], live: list[Any], path: Path) -> list[Any]:
    """Return the wanted items, each laid over its live twin; where others may add items, theirs stay."""
    key = _item_key(wanted, live)
    if key is None:
        return wanted
    there = {item[key]: item for item in live}
    merged = [without_extras(item, there.pop(item[key], None), (*path, str(item[key]))) for item in wanted]
    return merged + list(there.values()) if path[-1] in SHARED_LISTS else merged
