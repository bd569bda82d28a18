"""One namespace of the cluster as its user sees it: kubectl from outside, HTTP from a pod inside.

Every end-to-end test works through it, so that a test says what a user types and what comes back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.support.cluster import pods
from tests.support.cluster.cluster import Cluster
from tests.support.eventually import eventually

# What operator.md promises, in seconds; `eventually` stretches it on a busy machine.
NOTICED: Final = 10  # what is wrong stands in the conditions, drift is repaired
COUNTED: Final = 35  # counters reach the status
STARTED: Final = 120  # a pod is there: no promise, room for a busy machine

CLIENT: Final = "client"
WAIT_FOR_EVER = ["python3", "-c", "import signal; signal.pause()"]
# A connection is refused until kube-proxy, too, has heard of a pod that is Ready: tried again for some seconds.
CALL = """
import json, sys, httpx
method, url, body = sys.argv[1:]
with httpx.Client(transport=httpx.HTTPTransport(retries=7, verify=False), timeout=30) as client:
    answer = client.request(method, url, json=json.loads(body))
print(json.dumps([answer.status_code, answer.json()]))
"""

Json = Any


@dataclass(frozen=True)
class Space:
    """A namespace under the `restricted` profile with a pod in it that can run Python; `image` is that pod's."""

    cluster: Cluster
    name: str
    image: str

    def kubectl(self, *words: str, stdin: str = "", timeout: float = 120) -> str:
        """Run kubectl in the namespace and return what it printed."""
        return self.cluster.kubectl("--namespace", self.name, *words, stdin=stdin, timeout=timeout)

    def apply(self, *manifests: Mapping[str, Any]) -> str:
        """Apply manifests and return what kubectl said."""
        return self.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, manifests)))

    def get(self, reference: str) -> Json:
        """Return an object such as `kproc/broad` that is there."""
        return self.cluster.objects.get(self.name, reference)

    def find(self, reference: str) -> Json | None:
        """Return an object, None when it is not there."""
        return self.cluster.objects.find(self.name, reference)

    def listing(self, kinds: str, selector: str = "") -> list[Json]:
        """Return the objects of some kinds, such as `pods,services`, whose labels a selector picks."""
        return self.cluster.objects.listing(self.name, kinds, selector)

    def condition(self, reference: str, kind: str) -> Json:
        """Return a condition of an object; an empty one while it has none."""
        conditions = self.get(reference).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def wait(self, reference: str, condition: str = "condition=Ready", timeout: int = STARTED) -> None:
        """Wait as a user does, with `kubectl wait`."""
        self.kubectl("wait", f"--for={condition}", reference, f"--timeout={timeout}s", timeout=timeout + 10)

    def reaches(self, reference: str, reason: str, condition: str = "Ready", status: str = "False") -> Json:
        """Wait, as long as the manual allows, until a condition of an object has `status` for `reason`; return it."""

        def found() -> Json:
            return self.condition(reference, condition)

        def reached() -> bool:
            return (found().get("status"), found().get("reason")) == (status, reason)

        try:
            eventually(reached, promised=NOTICED)
        except AssertionError as error:
            raise AssertionError(f"{reference} is not {condition}={status} for {reason} but {found()}") from error
        return found()

    def start_client(self) -> None:
        """Start the pod that calls processors over their Services."""
        self.apply(pods.pod(self.name, CLIENT, self.image, WAIT_FOR_EVER, enableServiceLinks=False))
        self.wait(f"pod/{CLIENT}")

    def inside(self, *argv: str, stdin: str = "", timeout: float = 120) -> str:
        """Run a command in the client pod."""
        return self.kubectl("exec", "--stdin", CLIENT, "--", *argv, stdin=stdin, timeout=timeout)

    def ask(self, method: str, url: str, body: Json = None) -> tuple[int, Json]:
        """Send a request from the client pod; return status and JSON of the answer."""
        status, answer = json.loads(self.inside("python3", "-c", CALL, method, url, json.dumps(body)))
        return status, answer

    def post(self, url: str, body: Json = None) -> Json:
        """POST from the client pod what must be accepted, and return the answer."""
        status, answer = self.ask("POST", url, body if body is not None else {})
        assert status == 200, answer
        return answer

    def read(self, url: str) -> Json:
        """GET from the client pod what must be there, and return it."""
        status, answer = self.ask("GET", url)
        assert status == 200, answer
        return answer

    def pod_of(self, processor: str) -> Json:
        """Return the one pod of a processor."""
        (pod,) = self.listing("pods", f"kato.dev/processor={processor}")
        return pod


def open_space(cluster: Cluster, name: str, image: str) -> Space:
    """Make a namespace that takes pods of the `restricted` profile alone."""
    pods.open_namespace(cluster, name)
    return Space(cluster, name, image)


def processor(name: str, **spec: object) -> dict[str, Any]:
    """Return a KatoProcessor."""
    return {"apiVersion": "kato.dev/v1alpha1", "kind": "KatoProcessor", "metadata": {"name": name}, "spec": spec}


def session(name: str, of: str, **spec: object) -> dict[str, Any]:
    """Return a KatoSession of the processor `of`."""
    whole = {"processorRef": {"name": of}, **spec}
    return {"apiVersion": "kato.dev/v1alpha1", "kind": "KatoSession", "metadata": {"name": name}, "spec": whole}
