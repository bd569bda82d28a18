"""How the user's kubeconfig says a cluster is reached. The one file of this room that knows the Kubernetes client.

Called by `kato_cli.remote` (spec: cli.md, `--kubernetes`).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from kubernetes import config
from kubernetes.client import Configuration

from kato_spec.errors import Rejected

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API server is, as whom it is asked (`authorization` may be empty), and the namespace that is meant."""

    server: str
    authorization: str
    tls: ssl.SSLContext
    namespace: str


def connect(namespace: str | None) -> Connection:
    """Return the connection of the current context; in a pod without a kubeconfig that of its service account.

    `namespace` wins over the context's, which is `default` where it names none.

    Raises:
        Rejected: there is no usable kubeconfig.
    """
    configuration = Configuration()
    try:
        in_context = _load(configuration)
    except config.ConfigException as error:
        raise NoCluster(str(error)) from error
    settings = cast("dict[str, dict[str, Any]]", configuration.auth_settings())
    authorization = next((str(each["value"]) for each in settings.values() if each.get("value")), "")
    return Connection(configuration.host, authorization, _tls(configuration), namespace or in_context)


class NoCluster(Rejected):
    """No kubeconfig says how to reach a cluster."""

    def __init__(self, reason: str) -> None:
        super().__init__("KUBECONFIG", reason, "a kubeconfig with a current context")
        self.args = (f"no way to reach a cluster: {reason}; set KUBECONFIG, or leave out --kubernetes",)


def _load(configuration: Configuration) -> str:
    """Fill the configuration and return the context's namespace."""
    try:
        config.load_kube_config(client_configuration=configuration)
    except config.ConfigException:
        if not (_ACCOUNT / "token").exists():
            raise
        config.load_incluster_config(client_configuration=configuration)
        return (_ACCOUNT / "namespace").read_text().strip()
    _, active = config.list_kube_config_contexts()
    return str(active["context"].get("namespace") or "default")


def _tls(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    if not configuration.verify_ssl:  # as the kubeconfig itself asks
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
