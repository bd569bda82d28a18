"""The node itself: what containerd, the kubelet, kube-proxy and CoreDNS are started with (cluster.md, "Flags").

Pure, as `control.py`: files and command lines from a run directory. `local.py` writes and starts them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster.control import ADDRESS, NODE, POD_RANGE

PAUSE_IMAGE = "kato.local/pause:1"
DOMAIN = "cluster.local"
POD_SUBNET = "10.244.0.0/24"  # the one node's part of POD_RANGE
CONTAINERD_TOML = """\
version = 2
root = "{store}"
state = "{run}/containerd"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{run}/cni"
"""
COREFILE = """\
.:53 {{
  bind {address}
  errors
  kubernetes {domain} in-addr.arpa ip6.arpa {{
    kubeconfig {run}/harness.conf
    pods insecure
  }}
  cache 5
}}
"""


def socket(run: Path) -> Path:
    """Return containerd's socket."""
    return run / "containerd.sock"


def containerd_config(run: Path, store: Path, plugins: Path) -> str:
    """Return containerd's configuration; `store` keeps the images, `plugins` holds the CNI programs."""
    return CONTAINERD_TOML.format(run=run, store=store, socket=socket(run), pause=PAUSE_IMAGE, plugins=plugins)


def cni_config(run: Path) -> str:
    """Return the pods' network: one bridge, addresses from the node's range."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_SUBNET}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": f"{run}/cni-addresses",
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": "kato", "plugins": [bridge, portmap]})


def kubelet_config(run: Path, group: str) -> str:
    """Return the kubelet's configuration; `group` is the control group the pods live under."""
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},  # the box has no other inhabitants
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{group}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{socket(run)}",
        "clusterDNS": [ADDRESS],
        "clusterDomain": DOMAIN,
        "resolvConf": "",
        "podCIDR": POD_SUBNET,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 110,
    }
    return yaml.safe_dump(config)


def proxy_config(run: Path) -> str:
    """Return kube-proxy's configuration."""
    config: dict[str, Any] = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{run}/proxy.conf"},
        "mode": "nftables",
        "clusterCIDR": POD_RANGE,
        "hostnameOverride": NODE,
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
    return yaml.safe_dump(config)


def corefile(run: Path) -> str:
    """Return CoreDNS's configuration."""
    return COREFILE.format(run=run, address=ADDRESS, domain=DOMAIN)


def resolver() -> str:
    """Return the resolv.conf of commands that run in the box: they see service names as a pod does."""
    return f"nameserver {ADDRESS}\nsearch default.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}\noptions ndots:5\n"


def containerd(run: Path) -> list[str]:
    """Return containerd's command line."""
    return ["containerd", "--config", f"{run}/containerd.toml"]


def kubelet(run: Path, programs: Mapping[str, Path]) -> list[str]:
    """Return the kubelet's command line."""
    return [
        str(programs["kubelet"]),
        f"--config={run}/kubelet.yaml",
        f"--kubeconfig={run}/kubelet.conf",
        f"--hostname-override={NODE}",
        f"--node-ip={ADDRESS}",
        f"--root-dir={run}/kubelet",
    ]


def proxy(run: Path, programs: Mapping[str, Path]) -> list[str]:
    """Return kube-proxy's command line."""
    return [str(programs["kube-proxy"]), f"--config={run}/proxy.yaml"]


def coredns(run: Path, programs: Mapping[str, Path]) -> list[str]:
    """Return CoreDNS's command line."""
    return [str(programs["coredns"]), "-conf", f"{run}/Corefile"]
