"""The chart as `helm template` renders it, for the tests beside this file.

`python -m tests.chart.rendering` rewrites the golden files after a change that is meant.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster import parts

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "charts" / "kato-operator"
SETS = sorted(path.stem for path in (HERE / "sets").glob("*.yaml"))
CLUSTER = ("--kube-version", "1.35.4")
RELEASE = ("kato-operator", str(CHART), "--namespace", "kato-system", *CLUSTER)

Document = dict[str, Any]


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Run helm, which needs no cluster for what is asked of it here."""
    path = os.pathsep.join([*map(str, parts.tools()), os.environ["PATH"]])
    return subprocess.run(
        ["helm", *words], capture_output=True, text=True, check=False, env=os.environ | {"PATH": path}
    )


def values_of(name: str) -> Path:
    """Return the file of a set of values."""
    return HERE / "sets" / f"{name}.yaml"


def golden_of(name: str) -> Path:
    """Return the file that holds what a set of values is rendered to."""
    return HERE / "golden" / f"{name}.yaml"


def render(name: str, *flags: str) -> str:
    """Return the manifests that a set of values makes."""
    done = helm("template", *RELEASE, "--values", str(values_of(name)), *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_crds(rendered: str) -> str:
    """Leave out the definitions: another test compares them with their source."""
    parts_of_it = rendered.removeprefix("---\n").split("\n---\n")
    kept = [part for part in parts_of_it if "\nkind: CustomResourceDefinition\n" not in part]
    return "---\n" + "\n---\n".join(kept)


def documents(name: str, kind: str) -> list[Document]:
    """Return the documents of one kind that a set of values makes."""
    return [document for document in yaml.safe_load_all(render(name)) if document["kind"] == kind]


def pods(name: str) -> Iterator[tuple[str, Document]]:
    """Yield kind and pod spec of everything that starts a pod."""
    for document in yaml.safe_load_all(render(name)):
        if document["kind"] == "Pod":
            yield "Pod", document["spec"]
        elif "template" in document.get("spec", {}):
            yield document["kind"], document["spec"]["template"]["spec"]


def write() -> None:
    """Write every golden file."""
    for name in SETS:
        golden_of(name).parent.mkdir(exist_ok=True)
        golden_of(name).write_text(without_crds(render(name)))


if __name__ == "__main__":
    write()
