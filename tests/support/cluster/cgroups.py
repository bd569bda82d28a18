"""The control groups of a local cluster's pods: one group per run, so that two kubelets never see each other's pods.

Control groups are the one thing a box does not contain: they lie in the machine's hierarchies, under v1, v2 or both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil

from tests.support.cluster.errors import ClusterError
from tests.support.eventually import eventually

PATIENCE = 60.0  # seconds until the kernel has let go of killed processes on a busy machine


def hierarchies() -> Iterator[Path]:
    """Yield where the machine's control group hierarchies are mounted."""
    for mount in psutil.disk_partitions(all=True):
        if mount.fstype in ("cgroup", "cgroup2"):
            yield Path(mount.mountpoint)


def make_group(name: str) -> None:
    """Make the group `name` in every hierarchy, ready to have children."""
    for hierarchy in hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / setting).exists():  # v1 only: a new group may use no processor until it is told
                (group / setting).write_text((hierarchy / setting).read_text())


def remove_group(name: str) -> None:
    """Remove the group `name` and all below it, once the kernel has let go of its processes."""
    for hierarchy in hierarchies():
        group = hierarchy / name
        if group.exists():
            try:
                eventually(partial(remove_tree, group), timeout=PATIENCE)
            except AssertionError as error:
                raise ClusterError(f"control group {group} stays in use") from error


def remove_tree(group: Path) -> bool:
    """Remove a group's directories from below; False while one of them is still busy."""
    for directory, _, _ in os.walk(group, topdown=False):
        try:
            Path(directory).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
