"""Raises the local node: a recipe from an empty run directory to a node that is Ready (cluster.md).

Called by `find.py`. What goes wrong on the way takes everything down again.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import yaml

from tests.support import http
from tests.support.cluster import control, machine, node, parts, runs
from tests.support.cluster.api import Api
from tests.support.cluster.box import Box, open_box
from tests.support.cluster.cache import Image
from tests.support.cluster.cgroups import make_group
from tests.support.cluster.cluster import CommandFailed
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.local import LocalCluster
from tests.support.cluster.progress import tail, timed
from tests.support.cluster.runs import LOCAL, Run
from tests.support.cluster.slots import Slot, take_slot
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[3]
NETWORK = f"""\
link set lo up
link add node0 type bridge
addr add {control.ADDRESS}/24 dev node0
link set node0 up
route add default dev node0
"""
# Go's collector takes a good part of a small control plane's CPU: it may let the heap grow to five times what is used,
# up to a limit that spares the machine. At the limit it does little else than collect: a fleet needs far more.
COLLECTOR = {"GOGC": "400", "GOMEMLIMIT": "768MiB"}
DURABLE_COLLECTOR = COLLECTOR | {"GOMEMLIMIT": "4GiB"}
OWN_DIRECTORIES = ("/var/lib", "/var/log")  # where CNI and the kubelet write whatever they are told
PATIENCE = 60.0  # seconds any one step may take on a busy machine


@dataclass
class Starting:
    """A cluster half-way up: its programs, watched while something is waited for."""

    run: Run
    box: Box
    programs: Mapping[str, Path]
    durable: bool = False
    tokens: Mapping[str, str] = field(default_factory=control.new_tokens)
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def spawn(self, name: str, argv: Sequence[str], pass_fds: Sequence[int] = ()) -> None:
        """Start a program of the cluster."""
        environment = {"PYTHONPATH": str(ROOT)} | (DURABLE_COLLECTOR if self.durable else COLLECTOR)
        self.started[name] = self.box.spawn(argv, self.run.log(name), env=environment, pass_fds=pass_fds)

    def stop(self, name: str) -> None:
        """End a program and wait for it."""
        process = self.started.pop(name)
        for child in psutil.Process(process.pid).children():  # the process itself is nsenter, which waits for it
            child.terminate()
        process.wait(timeout=PATIENCE)

    def wait(self, what: str, check: Callable[[], object]) -> None:
        """Wait, within the box's network, until `check` holds.

        Raises ClusterError when it does not in time, or, with the end of its log, when a program has ended.
        """

        def alive_and_true() -> bool:
            self.require_alive()
            return bool(check())

        try:
            with self.box.entered():
                eventually(alive_and_true, promised=PATIENCE)
        except AssertionError as error:
            raise ClusterError(f"no {what} within {PATIENCE:.0f} s") from error

    def require_alive(self) -> None:
        """Raise ClusterError when a program has ended."""
        for name, process in self.started.items():
            if process.poll() is not None:
                log = self.run.log(name)
                raise ClusterError(f"{name} ended with code {process.returncode}; its log ends:\n{tail(log)}")


def up(name: str, *, durable: bool = False) -> LocalCluster:
    """Raise a cluster that belongs to this process and return it with its node Ready.

    `durable`: etcd syncs what it writes to the disk, as it does in earnest, and every program may use more memory;
    measurements want that.
    """
    machine.require_node()
    runs.sweep()
    programs, pause, pause_image = parts.programs(), parts.pause(), parts.pause_image()
    with timed(f"cluster {name}: node Ready"), take_slot() as slot:
        run = runs.create(name, LOCAL)
        try:
            box = open_box(run.path, pause)
            cluster = LocalCluster(run, box)
            start(Starting(run, box, programs, durable=durable), cluster, slot, pause_image)
        except BaseException:
            runs.end(run)
            raise
    return cluster


def start(starting: Starting, cluster: LocalCluster, slot: Slot, pause_image: Image) -> None:
    """Start the programs, each as soon as what it cannot wait for itself is there."""
    path, programs = starting.run.path, starting.programs
    prepare(starting, slot)
    starting.spawn("etcd", control.etcd(path, programs, durable=starting.durable))
    start_containerd(starting, slot)
    starting.wait("etcd", lambda: answers(f"{control.ETCD}/health"))
    starting.spawn("apiserver", control.apiserver(path, programs))
    forget_containers(starting, cluster, slot)
    cluster.load(pause_image)
    admin = connect(starting)
    starting.spawn("controller-manager", control.controller_manager(path, programs))
    starting.spawn("scheduler", control.scheduler(path, programs))
    starting.spawn("kubelet", node.kubelet(path, programs))
    starting.spawn("proxy", ["nice", "-n", "-10", *node.proxy(path, programs)])  # where connections go waits for it
    starting.spawn("coredns", node.coredns(path, programs))
    starting.spawn("volumes", [sys.executable, "-m", "tests.support.cluster.volumes", str(path)])
    starting.wait("Ready node", lambda: node_is_ready(admin))
    starting.wait("service account", lambda: admin.get("/api/v1/namespaces/default/serviceaccounts/default"))
    starting.wait("DNS", dns_answers)


def prepare(starting: Starting, slot: Slot) -> None:
    """Set up the box's network and mounts, the pods' control group, and every file that is known by now."""
    run, box = starting.run, starting.box
    box.check(["ip", "-batch", "-"], stdin=NETWORK)
    box.check(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    box.check(["mount", "--make-rshared", "/"])
    box.check(["mount", "-t", "tmpfs", "tmpfs", "/run"])
    for directory in OWN_DIRECTORIES:
        own = run.path / "own" / directory.strip("/")
        own.mkdir(parents=True)
        box.check(["mount", "--bind", own, directory])
    write_files(starting, slot)
    make_group(run.group)


def write_files(starting: Starting, slot: Slot) -> None:
    """Write the configuration files and keys the programs are started with."""
    run = starting.run
    texts = {
        "tokens.csv": control.token_file(starting.tokens),
        "audit.yaml": yaml.safe_dump(control.AUDIT_POLICY),
        "containerd.toml": node.containerd_config(run.path, slot.root, machine.cni_plugins()),
        "cni/10-kato.conflist": node.cni_config(run.path),
        "kubelet.yaml": node.kubelet_config(run.path, run.group),
        "proxy.yaml": node.proxy_config(run.path),
        "Corefile": node.corefile(run.path),
        "resolv.conf": node.resolver(),
    }
    for name, text in texts.items():
        file = run.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    subprocess.run(["openssl", "genrsa", "-out", run.path / "sa.key", "2048"], check=True, capture_output=True)


def start_containerd(starting: Starting, slot: Slot) -> None:
    """Start containerd, which from here on holds the lock of its image store."""
    starting.spawn("containerd", node.containerd(starting.run.path), pass_fds=[slot.lock])


def forget_containers(starting: Starting, cluster: LocalCluster, slot: Slot) -> None:
    """Remove what the last cluster's containers left in the image store, so that the kubelet never hears of them.

    Containerd has told its Kubernetes half of them when it started, hence starts again if there were any.
    """
    starting.wait("containerd", lambda: containerd_answers(cluster))
    if rest := cluster.ctr("containers", "list", "--quiet").split():
        cluster.ctr("containers", "delete", *rest)
        starting.stop("containerd")
        start_containerd(starting, slot)
        starting.wait("containerd", lambda: containerd_answers(cluster))


def connect(starting: Starting) -> Api:
    """Write everyone's kubeconfig as soon as the API server has its certificate, and wait until it is ready."""
    certificate = starting.run.path / "certs" / "apiserver.crt"
    starting.wait("API server", lambda: certificate.exists() and certificate.read_text().endswith("-----\n"))
    for user, token in starting.tokens.items():
        (starting.run.path / f"{user}.conf").write_text(control.kubeconfig(token, certificate.read_text()))
    admin = Api(starting.run.kubeconfig)
    starting.wait("API server", admin.ready)
    return admin


def answers(url: str) -> bool:
    """Say whether an HTTP server calls itself well."""
    try:
        return http.get(url, trust_env=False, timeout=2).is_success
    except httpx.TransportError:
        return False


def containerd_answers(cluster: LocalCluster) -> bool:
    """Say whether containerd serves."""
    try:
        cluster.ctr("version")
    except CommandFailed:
        return False
    return True


def node_is_ready(api: Api) -> bool:
    """Say whether the node is there and Ready."""
    found = api.get(f"/api/v1/nodes/{control.NODE}") or {"status": {}}
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"].get("conditions", []))


def dns_answers() -> bool:
    """Say whether CoreDNS serves."""
    try:
        socket.create_connection((control.ADDRESS, 53), timeout=2).close()
    except OSError:
        return False
    return True
