from __future__ import annotations

from pathlib import Path

import pytest

from kato_operator.local.files import read
from kato_operator.local.problems import InvalidFiles
from kato_operator.local.wanted import Known, Wanted, wanted

HEAD = "apiVersion: kato.dev/v1alpha1\n"


def processor(name: str = "p", spec: str = "{}") -> str:
    return f"{HEAD}kind: KatoProcessor\nmetadata:\n  name: {name}\nspec: {spec}\n"


def session(name: str = "s", spec: str = "{processorRef: {name: p}}") -> str:
    return f"{HEAD}kind: KatoSession\nmetadata:\n  name: {name}\nspec: {spec}\n"


def of(tmp_path: Path, *documents: str, known: Known | None = None) -> Wanted:
    file = tmp_path / "f.yaml"
    file.write_text("---\n".join(documents))
    return wanted(*read([str(file)]), known or Known())


def problems(tmp_path: Path, *documents: str, known: Known | None = None) -> list[str]:
    with pytest.raises(InvalidFiles) as caught:
        of(tmp_path, *documents, known=known)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_a_processor_and_a_session(tmp_path: Path) -> None:
    spec = "{displayName: Broad, port: 8100, parameters: {recallThreshold: 0.25}, sessions: {ttlSeconds: 60}}"
    found = of(tmp_path, processor("broad", spec), session("s", "{processorRef: {name: broad}, userId: me}"))
    instance, declared = found.instances["broad"], found.sessions["s"]
    assert (instance.port, instance.record.display_name, instance.suspended) == (8100, "Broad", False)
    assert instance.record.parameters == {"recall_threshold": 0.25}
    assert instance.record.sessions.ttl_seconds == 60
    assert (declared.processor, declared.record.user_id) == ("broad", "me")
    assert found.notes == []


def test_every_problem_of_every_document_is_listed_with_its_line(tmp_path: Path) -> None:
    assert problems(
        tmp_path,
        processor("p", "{port: 0, parameters: {recallThreshold: 2, colour: red}}"),
        "kind: Deployment\napiVersion: apps/v1\n",
        session("s", "\n  userId: me\n"),
        processor("q", "\n  replicas: 3\n  autoscaling: {maxReplicas: 3}"),
    ) == [
        "f.yaml:5: spec.port: 0 is not allowed; allowed: integer 1..65535",
        "f.yaml:5: spec.parameters.recallThreshold: 2 is not allowed; allowed: number 0..1",
        *problems(tmp_path, processor("p", "{parameters: {colour: red}}")),
        "f.yaml:7: kind: 'Deployment' is not allowed; allowed: one of KatoProcessor, KatoSession",
        "f.yaml:8: apiVersion: 'apps/v1' is not allowed; allowed: kato.dev/v1alpha1",
        *[p.replace(":5:", ":14:") for p in problems(tmp_path, session("s", "\n  userId: me\n"))],
        "f.yaml:23: spec.replicas: 3 is not allowed; allowed: 0 or 1 on one machine; more replicas need a cluster",
        "f.yaml:24: spec.autoscaling: 'present' is not allowed; allowed: absent on one machine; "
        "autoscaling needs a cluster",
    ]


def test_what_one_machine_cannot_do_is_refused(tmp_path: Path) -> None:
    external = (
        "{storage: {external: {mongodb: {uriSecretRef: {name: a, key: b}}, redis: {urlSecretRef: {name: a, key: b}}}}}"
    )
    assert (
        "spec.storage.external: 'present' is not allowed; allowed: embedded"
        in problems(tmp_path, processor("p", external))[0]
    )


def test_what_only_a_cluster_has_is_named_once(tmp_path: Path) -> None:
    text = processor("p", "{image: kato:1, nodeSelector: {disk: ssd}, storage: {embedded: {size: 2Gi}}}")
    found = of(tmp_path, text.replace("metadata:\n", "metadata:\n  namespace: prod\n"))
    assert found.notes == [
        "katoprocessor/p: no effect on one machine: spec.image, spec.nodeSelector, spec.storage, metadata.namespace"
    ]


@pytest.mark.parametrize("spec", ["{suspend: true}", "{replicas: 0}"])
def test_suspended_processors(tmp_path: Path, spec: str) -> None:
    assert of(tmp_path, processor("p", spec)).instances["p"].suspended


def test_the_same_object_twice(tmp_path: Path) -> None:
    assert problems(tmp_path, processor(), session(), processor(), session()) == [
        f"f.yaml:16: metadata.name: 'p' is given twice, first at {tmp_path}/f.yaml:4: leave one of them",
        f"f.yaml:22: metadata.name: 's' is given twice, first at {tmp_path}/f.yaml:10: leave one of them",
    ]


def test_what_is_in_force_cannot_be_changed_where_it_is_immutable(tmp_path: Path) -> None:
    known = Known(sessions={"s": {**_session_document(), "spec": {"processorRef": {"name": "p"}, "userId": "me"}}})
    assert problems(tmp_path, session("s", "{processorRef: {name: q}, userId: you}"), known=known) == [
        "f.yaml:5: spec.processorRef.name: 'q' is not allowed; allowed: the present value: it is immutable",
        "f.yaml:5: spec.userId: 'you' is not allowed; allowed: the present value: it is immutable once set",
    ]


def test_tokens_come_from_a_secret_among_the_files(tmp_path: Path) -> None:
    auth = "{auth: {tokensSecretRef: {name: keys}}}"
    manifest = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\n"
    assert of(tmp_path, processor("p", auth), manifest + "stringData: {tokens: 'a,b'}\n").instances["p"].tokens == "a,b"
    assert of(tmp_path, processor("p", auth), manifest + "data: {tokens: YSxi}\n").instances["p"].tokens == "a,b"
    assert "spec.auth.tokensSecretRef.name: 'keys' is not allowed" in problems(tmp_path, processor("p", auth))[0]
    assert "tokensSecretRef.key: 'tokens' is not allowed" in problems(tmp_path, processor("p", auth), manifest)[0]
    assert problems(tmp_path, manifest + "data: {tokens: '?'}\n")[0].endswith(
        "data.tokens: is not base64 of UTF-8 text"
    )
    assert problems(tmp_path, manifest + "data: [x]\n")[0].endswith("data: is not a mapping of keys to text")


def test_the_older_instance_file(tmp_path: Path) -> None:
    found = of(
        tmp_path,
        "instances:\n"
        "- {id: My Proc, name: First, port: 8003, max-seq-length: 5, recall_threshold: 0.3, indexer-type: VI}\n"
        "- {id: 2}\n",
    )
    first, second = found.instances["my-proc"], found.instances["2"]
    assert (first.requested, first.port, first.record.display_name) == ("My Proc", 8003, "First")
    assert first.record.parameters == {"max_pattern_length": 5, "recall_threshold": 0.3, "indexer_type": "VI"}
    assert (second.port, second.record.parameters, second.record.display_name) == (8000, {}, None)


def test_problems_of_the_older_instance_file(tmp_path: Path) -> None:
    text = (
        "instances:\n"
        "- id: sessions\n"
        "- id: a\n"
        "  port: '8000'\n"
        "  recall-threshold: 7\n"
        "- id: b\n"
        "  max_seq_length: 1\n"
        "  max-pattern-length: 1\n"
        "  colour: red\n"
        "- name: c\n"
        "- 3\n"
        "- id: b!\n"
        "- id: b\n"
        "  name: ''\n"
        "extra: 1\n"
    )
    found = [":".join(problem.split(":")[1:3]).strip() for problem in problems(tmp_path, text)]
    assert found == [
        "2: instances[0].id",
        "4: instances[1].port",
        "5: instances[1].recall-threshold",
        "8: instances[2].max-pattern-length",
        "9: instances[2].colour",
        "10: instances[3].id",
        "11: instances[4]",
        "14: instances[6].name",
        "15: extra",
    ]


def _session_document() -> dict[str, object]:
    return {"apiVersion": "kato.dev/v1alpha1", "kind": "KatoSession", "metadata": {"name": "s"}}


def test_the_user_of_a_session_stays_though_it_was_not_written_before(tmp_path: Path) -> None:
    known = Known(sessions={"s": {**_session_document(), "spec": {"processorRef": {"name": "p"}}}})
    assert problems(tmp_path, session("s", "{processorRef: {name: p}, userId: you}"), known=known) == [
        "f.yaml:5: spec.userId: 'you' is not allowed; allowed: 's': it is immutable"
    ]
    assert of(tmp_path, session("s", "{processorRef: {name: p}, userId: s}"), known=known).sessions
