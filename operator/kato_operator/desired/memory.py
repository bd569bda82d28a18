"""What is noted of a memory in shared stores that is to go with its processor, for when the processor is gone.

Made by `reconcile` beside the children, read by the sweep. Like the volume claim of an embedded memory it has no owner.
It names Secrets of its own namespace or the chart's stores, never an address; in the chart's stores the database
follows from the processor's name, so that no one can have another's memory removed by writing such a note.
"""

from __future__ import annotations

from kato_operator.desired import names
from kato_operator.desired.kinds import CONFIG_MAP, Manifest
from kato_operator.desired.stores import MONGODB_FIELD, REDIS_FIELD, Source, Sources
from kato_operator.desired.subject import Subject
from kato_spec.keys import database_name

OF_CHART = {"stores": "chart"}


def memory_note(subject: Subject) -> Manifest | None:
    """Return the ConfigMap that notes where a memory lies which is to be removed, or None when there is none to."""
    if subject.embedded or subject.spec.deletion_policy != "Delete":
        return None
    external = subject.spec.storage.external if subject.spec.storage else None
    data = OF_CHART
    if external is not None:
        mongodb, redis = external.mongodb.uri_secret_ref, external.redis.url_secret_ref
        data = {
            "database": str(subject.storage.database),
            "mongodbSecret": mongodb.name,
            "mongodbKey": mongodb.key,
            "redisSecret": redis.name,
            "redisKey": redis.key,
        }
    note = subject.child(
        CONFIG_MAP, names.memory_note_name(subject.name), annotations={names.ON_DELETE_ANNOTATION: "Delete"}
    )
    del note.metadata["ownerReferences"]
    return note.having(data=data)


def noted(note: Manifest, processor: str, of_chart: Sources | None) -> tuple[str, Sources] | None:
    """Return the database and the Secrets that a note names, or None when it names none."""
    namespace, data = note["metadata"]["namespace"], note.get("data", {})
    if data == OF_CHART:
        return (database_name(namespace, processor), of_chart) if of_chart else None
    try:
        mongodb = Source(MONGODB_FIELD, namespace, data["mongodbSecret"], data["mongodbKey"])
        redis = Source(REDIS_FIELD, namespace, data["redisSecret"], data["redisKey"])
        return data["database"], Sources(mongodb, redis)
    except KeyError:
        return None
