"""Alerts and scrapes: every query names metrics and labels that the operator has, every alert says what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from kato_operator.app import PROOFS_MISSED
from kato_operator.cluster.kube import EVENT
from kato_operator.desired.kinds import CUSTOM, PROCESSOR, WATCHED_CHILDREN
from kato_operator.reconcile.cache import Cache
from kato_operator.reconcile.ports import Key
from kato_operator.reconcile.queue import WorkQueue
from kato_operator.settings import OperatorSettings
from kato_operator.telemetry.metrics import LAG_LIMIT, Telemetry
from tests.chart.rendering import CHART, Document, documents

JOB = "kato-operator-metrics"
# What Prometheus adds to every series.
ADDED = {"job", "instance", "namespace", "pod", "service"}


def alerts() -> list[Document]:
    (rule,) = documents("everything", "PrometheusRule")
    (group,) = rule["spec"]["groups"]
    found: list[Document] = group["rules"]
    return found


@pytest.fixture(scope="module")
def exposed() -> Mapping[str, set[str]]:
    """Return what the operator exposes: the name of each series and its labels."""
    cache = Cache()
    metadata = {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1"}
    cache.put(PROCESSOR, PROCESSOR.manifest(metadata))
    telemetry = Telemetry(WorkQueue(lambda: 1.0), cache, lambda: 0.0, watch_limit=1)
    telemetry.reconciled(Key("KatoProcessor", "n", "p"), "ok", 1.0)
    telemetry.wrote(PROCESSOR, "update")
    telemetry.proven(PROCESSOR)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest(telemetry.registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_query_names_what_exists(alert: Document, exposed: Mapping[str, set[str]]) -> None:
    query = alert["expr"]
    selected = re.findall(r"(\w+)\{([^}]*)\}", query)
    assert selected
    assert {name for name, _ in selected} == set(re.findall(r"kato_operator_\w+", query))
    for name, selector in selected:
        assert name in exposed
        assert f'job="{JOB}"' in selector
        assert set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", selector)) <= exposed[name] | ADDED
    grouped = {label for labels in re.findall(r"by \((.*?)\)", query) for label in labels.split(", ")}
    said = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
    assert said <= grouped <= set().union(*(exposed[name] for name, _ in selected))


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_says_what_to_do(alert: Document) -> None:
    assert alert["for"]
    assert alert["labels"]["severity"] in {"warning", "critical"}
    for name in ("summary", "runbook"):
        assert alert["annotations"][name].endswith(".")
        assert "\n" not in alert["annotations"][name]


RESYNC_SECONDS = OperatorSettings.model_fields["resync_seconds"].default
WATCH_LIMIT = PROOFS_MISSED * RESYNC_SECONDS


@pytest.mark.parametrize(
    ("name", "limit"), [("KatoOperatorQueueStands", LAG_LIMIT), ("KatoOperatorWatchIsOld", WATCH_LIMIT)]
)
def test_an_alert_fires_before_the_process_is_restarted_for_it(name: str, limit: float) -> None:
    alert, monitor = alert_named(name), yaml.safe_load((CHART / "values.yaml").read_text())["metrics"]["serviceMonitor"]
    assert threshold(alert) + seconds(alert["for"]) + seconds(monitor["interval"]) <= limit


def test_a_watch_that_one_resync_did_not_prove_is_not_old() -> None:
    assert threshold(alert_named("KatoOperatorWatchIsOld")) >= 2 * RESYNC_SECONDS


def test_counters_that_are_refreshed_are_no_writes_without_end() -> None:
    """Statuses are written as often as there are busy sessions, and Events as often as something comes about."""
    (ignored,) = re.findall(r'kind!~"([^"]*)"', alert_named("KatoOperatorWritesWithoutEnd")["expr"])
    assert {kind.name for kind in CUSTOM} | {EVENT.name} == set(ignored.split("|"))
    assert not [kind for kind in WATCHED_CHILDREN if re.fullmatch(ignored, kind.name)]


def alert_named(name: str) -> Document:
    """Return one alert."""
    (found,) = [alert for alert in alerts() if alert["alert"] == name]
    return found


def threshold(alert: Document) -> float:
    """Return the value above which an alert fires."""
    return float(alert["expr"].rpartition(" > ")[2])


def seconds(duration: str) -> float:
    """Return a duration of Prometheus, such as 30s or 2m, in seconds."""
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


def test_the_job_of_the_queries_is_the_service_that_is_scraped() -> None:
    (monitor,) = documents("everything", "ServiceMonitor")
    selector = monitor["spec"]["selector"]["matchLabels"]
    services = [
        service
        for service in documents("everything", "Service")
        if selector.items() <= service["metadata"]["labels"].items()
    ]
    assert [service["metadata"]["name"] for service in services] == [JOB]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in services[0]["spec"]["ports"]}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_policies_select_the_pods_that_there_are() -> None:
    made = [*documents("everything", "Deployment"), *documents("everything", "Job")]
    pods = [document["spec"]["template"]["metadata"]["labels"] for document in made]
    pods += [document["metadata"]["labels"] for document in documents("everything", "Pod")]
    policies = documents("everything", "NetworkPolicy")
    selected = [[labels for labels in pods if selects(policy["spec"]["podSelector"], labels)] for policy in policies]
    assert sorted(map(len, selected)) == [1, 1, 2]
    assert sorted(label for labels in selected for label in map(component, labels)) == sorted(map(component, pods))


def selects(selector: Document, labels: Mapping[str, str]) -> bool:
    """Say whether a selector selects a pod of these labels."""
    among = [(expression["key"], expression["values"]) for expression in selector.get("matchExpressions", ())]
    return selector["matchLabels"].items() <= labels.items() and all(labels.get(key) in values for key, values in among)


def component(labels: Mapping[str, str]) -> str:
    """Return which part of the release a pod is."""
    return labels["app.kubernetes.io/component"]
