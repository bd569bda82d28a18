"""The chart on the cluster: installed, tested and uninstalled by helm as a user does it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.cluster import pods
from tests.support.cluster.cluster import Cluster
from tests.support.eventually import eventually

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts" / "kato-operator"
NAME: Final = "kato-operator"
NAMESPACE: Final = "kato-system"
OPERATOR: Final = "app.kubernetes.io/component=operator"
STORES: Final = "app.kubernetes.io/component in (mongodb, redis)"


@dataclass(frozen=True)
class Release:
    """The one release of the chart that the end-to-end tests use."""

    cluster: Cluster

    def helm(self, verb: str, *words: str) -> str:
        """Run a helm command on the release and return what it printed."""
        return self.cluster.helm(verb, NAME, *words, "--namespace", NAMESPACE, timeout=360)

    def install(self, *flags: str, chart: Path = CHART) -> str:
        """Install a chart, or upgrade to it, and wait until its pods are Ready; return helm's words."""
        self.cluster.apply(pods.restricted_namespace(NAMESPACE))
        # The definitions may be there from elsewhere, such as `kato-operator crds`.
        # Given no values, helm would take those of the release before it.
        words = ("--install", "--reset-values", "--take-ownership", "--wait", "--timeout", "3m")
        said = self.helm("upgrade", str(chart), *words, *flags)
        self.settle()
        return said

    def settle(self) -> None:
        """Wait until the operator before has ended: helm waits for the one that follows, which may not lead yet."""

        def settled() -> bool:
            found = self.cluster.objects.listing(NAMESPACE, "pods", OPERATOR)
            wanted: int = self.cluster.objects.get(NAMESPACE, f"deployment/{NAME}")["spec"]["replicas"]
            return len(found) == wanted

        eventually(settled, timeout=120, interval=0.5)

    def uninstall(self) -> str:
        """Uninstall the chart and wait until it is gone."""
        return self.helm("uninstall", "--wait", "--timeout", "3m")

    def test(self) -> str:
        """Run `helm test` and return its report."""
        return self.helm("test", "--timeout", "5m")

    def type(self, commands: str) -> str:
        """Run commands as a reader of the documentation would, in the repository, and return what they print."""
        return self.cluster.run(
            "bash", "-c", f"set -euo pipefail; cd {shlex.quote(str(ROOT))}\n{commands}", timeout=600
        )

    def kubectl(self, *words: str) -> str:
        """Run kubectl in the release's namespace."""
        return self.cluster.kubectl("--namespace", NAMESPACE, *words)
