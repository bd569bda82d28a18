"""One database, one processor: the older one keeps it, the other is told so and touches nothing."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kato_operator.desired.kinds import CONFIG_MAP, DEPLOYMENT, POD, PROCESSOR, SECRET
from kato_operator.desired.stores import servers
from kato_spec.keys import database_name
from tests.support.operator.rig import NAMESPACE, Rig, new_rig, restarted
from tests.support.operator.walk import applied

MOMENT = 60


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = new_rig()
    await made.start()
    server(made, "m", "mongodb://u:hush@one,two/?x=1")
    server(made, "alias", "mongodb://v:other@TWO:27017/")
    server(made, "elsewhere", "mongodb://u:hush@three/")
    yield made
    await made.pods.stop()


def server(rig: Rig, name: str, uri: str) -> None:
    data = {"uri": uri, "url": "redis://r"}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    rig.cluster.put(SECRET, SECRET.manifest({"name": name, "namespace": NAMESPACE}, data=encoded))


def external(name: str = "m", database: str | None = "kato") -> dict[str, Any]:
    mongodb = {"uriSecretRef": {"name": name}} | ({"database": database} if database else {})
    return {"external": {"mongodb": mongodb, "redis": {"urlSecretRef": {"name": "m"}}}}


async def two(rig: Rig, storage: dict[str, Any], **spec: object) -> None:
    """An older processor `zero` in the database kato, and a younger one, `alpha`, that would go first by name."""
    await applied(rig, "zero", storage=external())
    rig.clock.seconds += MOMENT
    await applied(rig, "alpha", storage=storage, **spec)


@pytest.mark.parametrize("secret", ["m", "alias"])
async def test_the_younger_one_is_refused_by_field_and_value_and_nothing_is_made_of_it(rig: Rig, secret: str) -> None:
    await two(rig, external(secret))
    assert rig.condition(PROCESSOR, "alpha", "Degraded") == ("True", "DatabaseTaken")
    assert rig.condition(PROCESSOR, "alpha", "Ready") == ("False", "DatabaseTaken")
    said = str(rig.get(PROCESSOR, "alpha")["status"])
    assert "spec.storage.external.mongodb.database" in said
    assert "KatoProcessor zero" in said
    assert "hush" not in said
    assert rig.find(DEPLOYMENT, "kato-alpha") is None
    assert rig.condition(PROCESSOR, "zero", "Degraded") == ("False", "AsWanted")


async def test_the_same_name_on_another_server_is_another_database(rig: Rig) -> None:
    await two(rig, external("elsewhere"))
    assert rig.find(DEPLOYMENT, "kato-alpha")


async def test_a_derived_name_may_be_taken_too(rig: Rig) -> None:
    await applied(rig, "zero", storage=external(database=None))
    rig.clock.seconds += MOMENT
    await applied(rig, "alpha", storage=external(database=database_name(NAMESPACE, "zero")))
    assert rig.condition(PROCESSOR, "alpha", "Degraded") == ("True", "DatabaseTaken")


async def test_a_restarted_operator_gives_it_to_the_same_one(rig: Rig) -> None:
    await two(rig, external())
    again = restarted(rig)
    await again.start()
    assert again.find(DEPLOYMENT, "kato-alpha") is None
    assert again.condition(PROCESSOR, "zero", "Degraded") == ("False", "AsWanted")


async def test_it_is_free_when_the_older_one_is_gone(rig: Rig) -> None:
    await two(rig, external())
    rig.cluster.remove(PROCESSOR, NAMESPACE, "zero")
    await rig.forward(6)
    assert rig.find(DEPLOYMENT, "kato-alpha")
    assert rig.condition(PROCESSOR, "alpha", "Degraded") == ("False", "AsWanted")


async def test_deleting_the_refused_one_removes_nothing_of_the_others(rig: Rig) -> None:
    await two(rig, external(), deletionPolicy="Delete")
    assert rig.find(CONFIG_MAP, "kato-alpha.memory") is None
    rig.cluster.remove(PROCESSOR, NAMESPACE, "alpha")
    await rig.forward(5)
    assert rig.find(PROCESSOR, "alpha") is None
    await rig.rounds.sweep()
    assert rig.stores.removed == []


async def test_the_sweep_leaves_a_database_that_another_one_has_by_now(rig: Rig) -> None:
    await applied(rig, "zero", storage=external(), deletionPolicy="Delete")
    await rig.pod_runs("zero")
    rig.stores.away = ["MongoDB"]
    rig.cluster.remove(POD, NAMESPACE, "kato-zero-0")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "zero")
    await rig.forward(63)
    assert rig.find(CONFIG_MAP, "kato-zero.memory")
    await applied(rig, "alpha", storage=external())
    rig.stores.away = []
    await rig.rounds.sweep()
    assert rig.stores.removed == []
    assert rig.find(CONFIG_MAP, "kato-zero.memory") is None


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("mongodb://m", {"m:27017"}),
        ("mongodb://u:p%40@A.b:1,[::1]:27018,c/db?x=1", {"a.b:1", "[::1]:27018", "c:27017"}),
        ("mongodb+srv://u:p@cluster.example/", {"cluster.example:27017"}),
    ],
)
def test_servers_of_a_connection_string(uri: str, named: set[str]) -> None:
    assert servers(uri) == named
