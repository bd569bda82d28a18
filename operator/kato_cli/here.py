"""This user's machine, as every command sees it.

Called by the commands; the one place of the command line that reads `KATO_HOME`.
"""

from __future__ import annotations

from kato_cli.terminal import notice
from kato_client import KatoClient
from kato_operator.local import asked as wishes
from kato_operator.local.home import Home
from kato_operator.local.machine import Machine


def machine() -> Machine:
    """Return this machine with the home that the environment names."""
    return Machine(Home.from_environment(), notice)


def client(reference: str) -> tuple[str, KatoClient]:
    """Return the ID of the running instance that `reference` names, and a client of its API.

    Raises:
        Rejected: nothing of that name runs, or several do.
    """
    here = machine()
    instance_id, instance = here.find(reference)
    token = wishes.load(here.home, instance_id).tokens.partition(",")[0]
    return instance_id, KatoClient(instance.url, token=token or None)
