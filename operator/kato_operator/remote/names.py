"""An instance's ID as a KatoProcessor's name. Called by `kato_cli.remote` (spec: cli.md, "Instances")."""

from __future__ import annotations

import hashlib
import re

from kato_spec.errors import Rejected
from kato_spec.keys import PROCESSOR_NAME_MAX, PROCESSOR_NAME_PATTERN, processor_id_problem

_FOREIGN = re.compile(r"[^a-z0-9]+")
_HASH_DIGITS = 8


def label(raw: str) -> str:
    """Return the DNS label for `raw`: itself when it is one, else what is left of it and a short hash of the whole.

    Two different inputs give two different labels; `label(label(x)) == label(x)`.

    Raises:
        Rejected: it would be one of the service's own paths.
    """
    found = raw
    if len(raw) > PROCESSOR_NAME_MAX or not re.fullmatch(PROCESSOR_NAME_PATTERN, raw):
        kept = _FOREIGN.sub("-", raw.lower()).strip("-")[: PROCESSOR_NAME_MAX - _HASH_DIGITS - 1].rstrip("-")
        digest = hashlib.sha256(raw.encode()).hexdigest()[:_HASH_DIGITS]
        found = f"{kept}-{digest}" if kept else digest
    if problem := processor_id_problem(found):
        raise Rejected("id", raw, problem)
    return found
