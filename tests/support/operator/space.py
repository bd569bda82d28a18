"""A namespace of the cluster as a user of KATO sees it: manifests go in, conditions and HTTP answers come out.

Called by tests/operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import httpx

from kato_spec.keys import API_VERSION
from tests.support.cluster.cluster import Cluster
from tests.support.eventually import eventually

# What operator.md promises, in seconds (`eventually` stretches it on a busy machine); room where it promises nothing.
PROMISED: Final = 10.0
COUNTED: Final = 35.0
PATIENCE: Final = 90.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Space:
    """One namespace."""

    cluster: Cluster
    namespace: str

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("--namespace", self.namespace, *words, stdin=stdin)

    def processor(self, name: str, **spec: object) -> None:
        """Apply a KatoProcessor; its memory is the pod's unless `spec` says otherwise."""
        self._apply("KatoProcessor", name, {"storage": {"embedded": {"ephemeral": True}}} | spec)

    def session(self, name: str, processor: str, **spec: object) -> None:
        """Apply a KatoSession."""
        self._apply("KatoSession", name, {"processorRef": {"name": processor}} | spec)

    def _apply(self, kind: str, name: str, spec: Json) -> None:
        metadata = {"name": name, "namespace": self.namespace}
        self.cluster.apply({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})

    def get(self, reference: str) -> Json:
        """Return an object such as `kproc/broad` that is there."""
        return self.cluster.objects.get(self.namespace, reference)

    def find(self, reference: str) -> Json | None:
        """Return an object, or None when it is not there."""
        return self.cluster.objects.find(self.namespace, reference)

    def listing(self, kinds: str, selector: str = "") -> list[Json]:
        """Return the objects of some kinds, such as `pods,services`, whose labels a selector picks."""
        return self.cluster.objects.listing(self.namespace, kinds, selector)

    def condition(self, reference: str, kind: str) -> tuple[str, str]:
        """Return status and reason of a condition; empty ones while there is none."""
        known = (self.find(reference) or {}).get("status", {}).get("conditions", [])
        found: Json = next((condition for condition in known if condition["type"] == kind), {})
        return found.get("status", ""), found.get("reason", "")

    def reaches(self, reference: str, kind: str, status: str, reason: str = "", within: float = PROMISED) -> None:
        """Wait until a condition has `status`, for `reason` if one is given."""

        def met() -> bool:
            found = self.condition(reference, kind)
            return found[0] == status and reason in ("", found[1])

        try:
            eventually(met, promised=within, interval=0.2)
        except AssertionError as error:
            raise AssertionError(f"{reference} after {within:g} s: {self.find(reference)}") from error

    def ready(self, name: str) -> None:
        """Wait until a processor is Ready."""
        self.reaches(f"kproc/{name}", "Ready", "True", within=PATIENCE)

    def pod(self, processor: str) -> Json:
        """Return the one pod of a processor that is to stay."""
        pods = self.listing("pods", f"kato.dev/processor={processor}")
        (pod,) = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        return pod

    def ask(self, method: str, processor: str, path: str, body: object = None) -> Json:
        """Send a request to a processor through its Service, and return the answer."""
        return self.ask_at(self.get(f"service/kato-{processor}")["spec"]["clusterIP"], method, path, body)

    def ask_at(self, address: str, method: str, path: str, body: object = None) -> Json:
        """Send a request to an address, of a Service or of one pod, and return the answer."""
        # Refused until kube-proxy, too, has heard of a pod that is Ready: tried again for some seconds.
        with (
            self.cluster.entered(),
            httpx.Client(transport=httpx.HTTPTransport(retries=7, verify=False), timeout=30) as client,
        ):
            answer = client.request(method, f"http://{address}:8000{path}", json=body)
        assert answer.status_code == 200, (path, answer.text)
        found: Json = answer.json()
        return found

    def events(self, name: str) -> list[str]:
        """Return the reasons of the operator's Events about an object."""
        ours = [
            item
            for item in self.listing("events.events.k8s.io")
            if item.get("reportingController") == "kato.dev/kato-operator"
        ]
        return [item["reason"] for item in ours if item["regarding"]["name"] == name]
