"""What a local cluster shows of itself on the machine: counted while it is up and again when it is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.cluster.cgroups import hierarchies
from tests.support.cluster.local import LocalCluster

OWN_LINKS = ("node0", "cni", "veth")


@dataclass(frozen=True)
class Traces:
    """The namespaces of a cluster's processes and pods, by their kernel names, and the names its things go by.

    `newest`: when the last of its processes that was seen had started. The kernel gives the name of a namespace that is
    gone to the next one, of another cluster perhaps; whoever lives in that one started later.
    """

    namespaces: frozenset[str]
    words: tuple[str, ...]
    group: str
    newest: float = 0.0

    def processes(self) -> set[str]:
        """Return the processes of the machine that live in the cluster's namespaces or name its files."""
        return {
            f"{process.pid} {' '.join(command)[:100]}"
            for process in psutil.process_iter(["cmdline", "create_time"])
            if (command := process.info["cmdline"] or [])
            and (any(word in part for word in self.words for part in command) or self._lives_in(process))
        }

    def _lives_in(self, process: psutil.Process) -> bool:
        old = process.info["create_time"] <= self.newest
        return old and not self.namespaces.isdisjoint(namespaces_of(process.pid))

    def mounts(self) -> set[str]:
        """Return the mounts of the machine's own mount namespace that belong to the cluster."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        inodes = {name.partition(":")[2] for name in self.namespaces}
        return {line for line in lines if any(word in line for word in (*self.words, *inodes))}

    def groups(self) -> set[Path]:
        """Return the control groups of the cluster's pods."""
        return {hierarchy / self.group for hierarchy in hierarchies() if (hierarchy / self.group).exists()}


def links() -> set[str]:
    """Return the network links of the machine that look like a node's."""
    return {link for link in psutil.net_if_stats() if link.startswith(OWN_LINKS)}


def traces(cluster: LocalCluster) -> Traces:
    """Look at a cluster that is up: every namespace of every process in its box that is not the machine's own."""
    listed = cluster.box.check(["sh", "-c", "readlink /proc/[0-9]*/ns/* || true"]).split()
    namespaces = frozenset(listed) - set(namespaces_of(os.getpid()))
    newest = max(
        process.info["create_time"]
        for process in psutil.process_iter(["create_time"])
        if not namespaces.isdisjoint(namespaces_of(process.pid))
    )
    return Traces(namespaces, (str(cluster.at.path),), cluster.at.group, newest)


def namespaces_of(pid: int) -> Iterator[str]:
    """Yield the kernel's names of a process's namespaces; none when it has ended, or is more than this root may see."""
    try:
        for name in Path(f"/proc/{pid}/ns").iterdir():
            yield str(name.readlink())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return
