"""What a shell may complete beside commands and options: the instances of this machine.

Called by the shell's completion through `options`. It never fails and prints nothing: a half-typed line is no place
for an error.
"""

from __future__ import annotations

from kato_operator.local.home import Home
from kato_operator.local.machine import Machine
from kato_spec.errors import KatoError


def running(incomplete: str) -> list[tuple[str, str]]:
    """Return ID and name of the instances that run and whose ID begins as typed."""
    home = Home.from_environment()
    if not home.root.exists():
        return []
    try:
        instances = Machine(home, lambda _: None).running()
    except (KatoError, OSError):
        return []
    return [(key, entry.name) for key, entry in sorted(instances.items()) if key.startswith(incomplete)]


def known(incomplete: str) -> list[str]:
    """Return the IDs that begin as typed, of every instance that was ever started here."""
    data = Home.from_environment().data("")
    return sorted(path.name for path in data.glob("*") if path.is_dir() and path.name.startswith(incomplete))
