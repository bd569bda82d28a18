"""IDs of instances: what a user writes becomes a name that paths, URLs and process titles can carry.

Called by `kato start`, the instance file and the registry (spec: cli.md, "Instances").
"""

from __future__ import annotations

import re

from kato_spec.errors import Rejected
from kato_spec.keys import RESERVED_IDS

ID_MAX = 63
_VALID = re.compile(rf"[A-Za-z0-9]([A-Za-z0-9_-]{{0,{ID_MAX - 2}}}[A-Za-z0-9])?")
_FOREIGN = re.compile(r"[^a-z0-9_-]+")
ALLOWED = f"1 to {ID_MAX} of the letters a-z and A-Z, digits, - and _, with a letter or digit at either end"


def sanitise(raw: str) -> str:
    """Return the instance ID for `raw`: itself when it is one, else lower-cased, runs of other characters one `-`.

    `sanitise(sanitise(x)) == sanitise(x)` for every x that has an ID.

    Raises:
        Rejected: nothing of `raw` can stand in an ID, or its ID is one of the service's own paths.
    """
    found = raw if is_id(raw) else _FOREIGN.sub("-", raw.lower()).lstrip("-_")[:ID_MAX].rstrip("-_")
    if not found:
        raise Rejected("id", raw, ALLOWED)
    if found in RESERVED_IDS:
        raise Rejected("id", raw, "any ID but those of the service's own paths: " + ", ".join(sorted(RESERVED_IDS)))
    return found


def is_id(text: str) -> bool:
    """Say whether `text` is an ID as it stands; only such a text may become part of a path."""
    return _VALID.fullmatch(text) is not None


def default_id(seconds: float, pid: int) -> str:
    """Return the ID of an instance that was given none: `kato-<Unix time in whole seconds>-<PID of the starter>`."""
    return f"kato-{int(seconds)}-{pid}"
