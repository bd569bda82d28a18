"""External storage: which stores a processor has, what its pods are told of them, and what a Secret may lack."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from kato_operator.desired.kinds import (
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    POD,
    PROCESSOR,
    SECRET,
    SESSION,
    Kind,
    Manifest,
)
from kato_operator.desired.memory import noted
from kato_operator.desired.stores import MONGODB_FIELD, REDIS_FIELD, Source, Sources
from kato_operator.reconcile.ports import Refused
from kato_operator.settings import OperatorSettings
from kato_spec.keys import database_name
from tests.support.operator.rig import NAMESPACE, Rig, new_rig
from tests.support.operator.subjects import SHARED
from tests.support.operator.walk import applied, children

URI, URL = "mongodb://u:hush@m/", "redis://:hush@r/0"
STORAGE = SHARED["storage"]
CHART = Sources(Source(MONGODB_FIELD, "system", "given", "uri"), Source(REDIS_FIELD, "system", "given", "url"))
DERIVED = database_name(NAMESPACE, "broad")


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = new_rig()
    await made.start()
    yield made
    await made.pods.stop()


def secret(rig: Rig, name: str, *, namespace: str = NAMESPACE, **values: str) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    rig.cluster.objects.pop((SECRET, namespace, name), None)
    rig.cluster.put(SECRET, SECRET.manifest({"name": name, "namespace": namespace}, data=data))


def stores(rig: Rig) -> None:
    secret(rig, "m", uri=URI)
    secret(rig, "r", url=URL)


def template(rig: Rig) -> Manifest:
    found: Manifest = rig.get(DEPLOYMENT, "kato-broad")["spec"]["template"]
    return found


def settings(rig: Rig) -> dict[str, Any]:
    (container,) = template(rig)["spec"]["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


async def test_pods_read_their_stores_from_the_secrets_and_have_no_volume(rig: Rig) -> None:
    stores(rig)
    await applied(rig, storage=STORAGE, replicas=2)
    assert rig.find(CLAIM, "kato-broad-memory") is None
    assert rig.find(DISRUPTION_BUDGET, "kato-broad")
    told = settings(rig)
    assert told["KATO_MONGODB_URI"] == {"secretKeyRef": {"name": "m", "key": "uri"}}
    assert told["KATO_REDIS_URL"] == {"secretKeyRef": {"name": "r", "key": "url"}}
    assert told["KATO_MONGODB_DATABASE"] == DERIVED
    assert told["KATO_REPLICA_NAME"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert "KATO_DATA_DIR" not in told
    assert {volume["name"] for volume in template(rig)["spec"]["volumes"]} == {"parameters", "tmp"}
    assert rig.get(PROCESSOR, "broad")["status"]["storage"] == {"type": "External", "database": DERIVED}


async def test_what_the_secrets_hold_stands_nowhere_else(rig: Rig) -> None:
    stores(rig)
    await applied(rig, storage=STORAGE, replicas=2)
    shown = [item for (kind, _, _), item in rig.cluster.objects.items() if kind is not SECRET]
    assert "hush" not in str(shown)
    assert base64.b64encode(URI.encode()).decode() not in str(shown)


@pytest.mark.parametrize(
    ("held", "reason", "said"),
    [
        (None, "SecretNotFound", "Secret space/m is not there"),
        ({"other": URI}, "SecretKeyNotFound", "Secret space/m has no key uri"),
        ({"uri": "hush"}, "SecretInvalid", "mongodb://"),
        ({"uri": f"{URI}\n"}, "SecretInvalid", "line break"),
    ],
)
async def test_what_a_secret_lacks_is_said_and_heals_by_itself(
    rig: Rig, held: dict[str, str] | None, reason: str, said: str
) -> None:
    secret(rig, "r", url=URL)
    if held:
        secret(rig, "m", **held)
    await applied(rig, storage=STORAGE)
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", reason)
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", reason)
    status = str(rig.get(PROCESSOR, "broad")["status"])
    assert said in status
    assert MONGODB_FIELD in status
    assert "hush" not in status
    assert rig.find(DEPLOYMENT, "kato-broad") is None
    stores(rig)
    await rig.rounds.look_at_store_secrets()
    await rig.settle()
    assert rig.find(DEPLOYMENT, "kato-broad")
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")


async def test_a_secret_that_comes_is_noticed_by_the_next_try(rig: Rig) -> None:
    await applied(rig, storage=STORAGE)
    stores(rig)
    await rig.forward(6)
    assert rig.find(DEPLOYMENT, "kato-broad")


async def test_a_changed_secret_makes_new_pods_and_a_label_on_it_none(rig: Rig) -> None:
    stores(rig)
    await applied(rig, storage=STORAGE)
    before = template(rig)
    rig.cluster.put(SECRET, {"metadata": {"name": "m", "namespace": NAMESPACE, "labels": {"a": "b"}}})
    await rig.rounds.look_at_store_secrets()
    await rig.settle()
    assert template(rig) == before
    secret(rig, "m", uri="mongodb://u:hush@elsewhere/")
    await rig.rounds.look_at_store_secrets()
    await rig.settle()
    assert template(rig) != before


async def test_a_secret_that_may_not_be_read_holds_up_no_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    stores(rig)
    await applied(rig, storage=STORAGE)
    before, get = template(rig), rig.cluster.get

    async def refuse_the_first(kind: Kind, namespace: str, name: str) -> Manifest | None:
        if (kind, name) == (SECRET, "m"):
            raise Refused("GET", "Forbidden", "secrets")
        return await get(kind, namespace, name)

    monkeypatch.setattr(rig.cluster, "get", refuse_the_first)
    secret(rig, "r", url="redis://elsewhere/")
    await rig.rounds.look_at_store_secrets()
    await rig.settle()
    assert template(rig) != before


async def test_a_secret_that_went_leaves_running_what_runs(rig: Rig) -> None:
    stores(rig)
    await applied(rig, storage=STORAGE)
    await rig.pod_runs("broad")
    before = template(rig)
    rig.cluster.remove(SECRET, NAMESPACE, "m")
    await rig.rounds.look_at_store_secrets()
    await rig.settle()
    assert template(rig) == before
    assert rig.condition(PROCESSOR, "broad", "Ready")[0] == "True"
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", "SecretNotFound")


async def test_another_database_would_be_another_memory(rig: Rig) -> None:
    stores(rig)
    await applied(rig, storage=STORAGE)
    external = STORAGE["external"]
    other = {**external["mongodb"], "database": "other"}
    await applied(rig, storage={"external": {**external, "mongodb": other}})
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", "InvalidSpec")
    assert settings(rig)["KATO_MONGODB_DATABASE"] == DERIVED


async def test_the_charts_stores_reach_the_namespace_as_a_secret() -> None:
    rig = new_rig(stores=CHART)
    await rig.start()
    secret(rig, "given", namespace="system", uri=URI, url=URL)
    await applied(rig)
    copy = rig.get(SECRET, "kato-broad-stores")
    assert {key: base64.b64decode(value).decode() for key, value in copy["data"].items()} == {"uri": URI, "url": URL}
    assert copy["metadata"]["ownerReferences"][0]["name"] == "broad"
    assert settings(rig)["KATO_REDIS_URL"] == {"secretKeyRef": {"name": "kato-broad-stores", "key": "url"}}
    assert rig.get(PROCESSOR, "broad")["status"]["storage"]["type"] == "External"


async def test_what_was_resolved_is_kept_when_the_chart_names_stores_later(rig: Rig) -> None:
    await applied(rig)
    again = Rig(rig.cluster, rig.pods, rig.clock, stores=CHART)
    await again.start()
    assert again.get(PROCESSOR, "broad")["status"]["storage"]["type"] == "Embedded"
    assert (SECRET, "kato-broad-stores") not in children(again)


async def test_a_chart_that_names_no_stores_any_more_is_said() -> None:
    rig = new_rig(stores=CHART)
    await rig.start()
    secret(rig, "given", namespace="system", uri=URI, url=URL)
    await applied(rig)
    again = Rig(rig.cluster, rig.pods, rig.clock)
    await again.start()
    assert again.condition(PROCESSOR, "broad", "Degraded") == ("True", "StoresNotNamed")


async def test_one_of_the_replicas_is_told_of_a_session(rig: Rig) -> None:
    stores(rig)
    await applied(rig, storage=STORAGE)
    await rig.pod_runs("broad")
    rig.user_applies(SESSION, "reader", processorRef={"name": "broad"})
    await rig.settle()
    assert rig.get(SESSION, "reader")["status"]["phase"] == "Active"


def test_one_store_of_the_chart_needs_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATO_OPERATOR_STORES_REDIS_SECRET", "given")
    with pytest.raises(ValidationError, match="needed together"):
        OperatorSettings()


NOTE = (CONFIG_MAP, "kato-broad.memory")


async def doomed(rig: Rig) -> None:
    stores(rig)
    await applied(rig, storage=STORAGE, deletionPolicy="Delete")
    await rig.pod_runs("broad")


async def test_a_memory_goes_from_its_stores_after_the_pods_and_before_the_processor(rig: Rig) -> None:
    await doomed(rig)
    assert "hush" not in str(rig.get(*NOTE))
    assert "ownerReferences" not in rig.get(*NOTE)["metadata"]
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.forward(3)
    assert rig.find(DEPLOYMENT, "kato-broad") is None
    assert rig.stores.removed == []
    rig.cluster.remove(POD, NAMESPACE, "kato-broad-0")
    await rig.forward(3)
    (removed,) = rig.stores.removed
    assert (removed.mongodb_uri, removed.redis_url, removed.database) == (URI, URL, DERIVED)
    assert rig.find(PROCESSOR, "broad") is None
    assert rig.find(*NOTE) is None


async def test_the_note_is_in_no_other_processors_way(rig: Rig) -> None:
    await doomed(rig)
    await applied(rig, "broad-memory", storage=STORAGE, deletionPolicy="Delete")
    for name in ("broad", "broad-memory"):
        assert rig.condition(PROCESSOR, name, "Degraded") == ("False", "AsWanted")
        assert rig.find(CONFIG_MAP, f"kato-{name}")
        assert rig.find(CONFIG_MAP, f"kato-{name}.memory")


async def test_stores_that_are_away_do_not_hold_a_processor_up_and_the_sweep_goes_after_them(rig: Rig) -> None:
    await doomed(rig)
    rig.stores.away = ["MongoDB database x (no answer in 5 s)"]
    rig.cluster.remove(POD, NAMESPACE, "kato-broad-0")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.forward(58)
    assert rig.find(PROCESSOR, "broad")
    await rig.forward(4)
    assert rig.find(PROCESSOR, "broad") is None
    (told,) = [happening for happening in rig.cluster.happenings if happening.reason == "MemoryLeft"]
    assert "MongoDB database x" in told.note
    await rig.rounds.sweep()
    assert rig.find(*NOTE)
    rig.stores.away = []
    await rig.rounds.sweep()
    assert rig.find(*NOTE) is None
    assert len(rig.stores.removed) == 1


async def test_retained_memory_is_never_removed_from_its_stores(rig: Rig) -> None:
    stores(rig)
    await applied(rig, storage=STORAGE)
    assert rig.find(*NOTE) is None
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    await rig.rounds.sweep()
    assert rig.stores.removed == []


async def test_a_policy_that_becomes_retain_takes_the_note_away(rig: Rig) -> None:
    await doomed(rig)
    await applied(rig, storage=STORAGE, deletionPolicy="Retain")
    assert rig.find(*NOTE) is None
    assert "finalizers" not in rig.get(PROCESSOR, "broad")["metadata"]


async def test_a_namespace_that_took_secrets_and_notes_first_is_not_held_up(rig: Rig) -> None:
    await doomed(rig)
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    for kind, name in [(SECRET, "m"), (SECRET, "r"), NOTE, (POD, "kato-broad-0")]:
        rig.cluster.remove(kind, NAMESPACE, name)
    await rig.rounds.look_at_store_secrets()
    await rig.forward(5)
    assert rig.find(PROCESSOR, "broad") is None
    assert len(rig.stores.removed) == 1


async def test_the_sweep_leaves_what_a_new_processor_of_the_name_has_found_again(rig: Rig) -> None:
    await doomed(rig)
    rig.stores.away = ["Redis keys"]
    rig.cluster.remove(POD, NAMESPACE, "kato-broad-0")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.forward(63)
    rig.stores.away = []
    await applied(rig, storage=STORAGE, deletionPolicy="Delete")
    await rig.rounds.sweep()
    assert rig.stores.removed == []
    assert rig.find(*NOTE)


def test_a_note_cannot_name_anothers_memory_in_the_charts_stores() -> None:
    note = CONFIG_MAP.manifest({"name": "kato-broad.memory", "namespace": NAMESPACE}, data={"stores": "chart"})
    assert noted(note, "broad", CHART) == (DERIVED, CHART)
    assert noted({**note, "data": {"stores": "chart", "database": "other"}}, "broad", CHART) is None
