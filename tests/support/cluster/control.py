"""The control plane of a local node: what etcd, the API server and its managers are started with (cluster.md, "Flags").

Pure: files and command lines from a run directory. `local.py` writes and starts them.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NODE = "node1"
ADDRESS = "10.89.0.1"  # the node's, inside the box
SERVER = f"https://{ADDRESS}:6443"
ETCD = "http://127.0.0.1:2379"
POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
AUDIT_LOG = "audit.log"

# Who speaks to the API server: user name and groups. Each program has its own, so that the audit log tells them apart.
USERS: Mapping[str, tuple[str, str]] = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
    "proxy": ("system:kube-proxy", ""),
    "harness": ("harness", "system:masters"),  # CoreDNS and the keeper of the volumes
}
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "users": ["harness"]}, {"level": "Metadata"}],
}


def new_tokens() -> dict[str, str]:
    """Return a fresh bearer token for every user."""
    return {user: secrets.token_hex(16) for user in USERS}


def token_file(tokens: Mapping[str, str]) -> str:
    """Return the API server's token file: token, name, uid, groups."""
    return "".join(f'{tokens[user]},{name},{user},"{groups}"\n' for user, (name, groups) in USERS.items())


def kubeconfig(token: str, authority: str) -> str:
    """Return a kubeconfig for the bearer of a token; `authority` is the PEM that vouches for the server."""
    cluster = {"server": SERVER, "certificate-authority-data": base64.b64encode(authority.encode()).decode()}
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "kato", "cluster": cluster}],
        "users": [{"name": "kato", "user": {"token": token}}],
        "contexts": [{"name": "kato", "context": {"cluster": "kato", "user": "kato"}}],
        "current-context": "kato",
    }
    return json.dumps(config, indent=2)  # a token of digits around one e is a number in kubectl's YAML


def etcd(run: Path, programs: Mapping[str, Path], *, durable: bool = False) -> list[str]:
    """Return etcd's command line. Unless `durable` nothing is synced to disk: a cluster's state ends with it."""
    return [
        str(programs["etcd"]),
        f"--data-dir={run}/etcd",
        f"--unsafe-no-fsync={str(not durable).lower()}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--log-level=warn",
    ]


def apiserver(run: Path, programs: Mapping[str, Path]) -> list[str]:
    """Return the API server's command line; it makes its own certificate in `certs`."""
    return [
        str(programs["kube-apiserver"]),
        f"--etcd-servers={ETCD}",
        f"--advertise-address={ADDRESS}",
        "--bind-address=0.0.0.0",
        "--secure-port=6443",
        f"--cert-dir={run}/certs",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
        f"--token-auth-file={run}/tokens.csv",
        f"--service-account-key-file={run}/sa.key",
        f"--service-account-signing-key-file={run}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--allow-privileged=true",
        # Admission that changes objects, as a mesh's webhook does it, without a webhook.
        "--feature-gates=MutatingAdmissionPolicy=true",
        "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
        f"--audit-policy-file={run}/audit.yaml",
        f"--audit-log-path={run}/{AUDIT_LOG}",
        "--audit-log-maxsize=10000",  # MiB: whoever counts requests wants all of them in one file
        "--kubelet-preferred-address-types=InternalIP",
    ]


def controller_manager(run: Path, programs: Mapping[str, Path]) -> list[str]:
    """Return the controller manager's command line."""
    return [
        str(programs["kube-controller-manager"]),
        f"--kubeconfig={run}/controller-manager.conf",
        f"--service-account-private-key-file={run}/sa.key",
        f"--root-ca-file={run}/certs/apiserver.crt",
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=true",
        f"--cluster-cidr={POD_RANGE}",
        "--kube-api-qps=200",  # at its 20 a fleet waits for the manager, not for the operator
        "--kube-api-burst=400",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]


def scheduler(run: Path, programs: Mapping[str, Path]) -> list[str]:
    """Return the scheduler's command line."""
    return [
        str(programs["kube-scheduler"]),
        f"--kubeconfig={run}/scheduler.conf",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]
