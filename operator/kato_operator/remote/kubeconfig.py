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
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigLoader, KubeConfigMerger

from kato_spec.errors import Rejected

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API server is, as whom it is asked (`authorization` may be empty), and the namespace that is meant."""

    server: str
    authorization: str
    tls: ssl.SSLContext
    namespace: str


def connect(namespace: str | None, context: str | None = None, kubeconfig: Path | None = None) -> Connection:
    """Return the connection of `context`, the current one where it is None, in `kubeconfig` or where kubectl looks.

    Where neither is named and nothing is found, in a pod, that of its service account. `namespace` wins over the
    context's, which is `default` where it names none.

    Raises:
        NoCluster: there is no usable kubeconfig, or it has no such context.
    """
    configuration = Configuration()
    try:
        in_context = _load(configuration, context, kubeconfig)
    except config.ConfigException as error:
        raise NoCluster(str(error)) from error
    settings = cast("dict[str, dict[str, Any]]", configuration.auth_settings())
    authorization = next((str(each["value"]) for each in settings.values() if each.get("value")), "")
    return Connection(configuration.host, authorization, _tls(configuration), namespace or in_context)


class NoCluster(Rejected):
    """No kubeconfig says how to reach a cluster."""

    def __init__(self, reason: str) -> None:
        super().__init__("kubeconfig", reason, "a kubeconfig with the context that is meant")
        self.args = (f"no way to reach a cluster: {reason}; name another --kubeconfig or --context",)


def _load(configuration: Configuration, context: str | None, kubeconfig: Path | None) -> str:
    """Fill the configuration and return the context's namespace."""
    try:
        merged = _merged(str(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION))
        loader = KubeConfigLoader(merged.config, active_context=context, config_persister=merged.save_changes)
        loader.load_and_set(configuration)
    except config.ConfigException:
        if context or kubeconfig or not (_ACCOUNT / "token").exists():
            raise
        config.load_incluster_config(client_configuration=configuration)
        return (_ACCOUNT / "namespace").read_text().strip()
    return str(loader.current_context["context"].get("namespace") or "default")


def _merged(files: str) -> KubeConfigMerger:
    merged = KubeConfigMerger(files)
    if merged.config is None:
        raise config.ConfigException(f"no kubeconfig at {files}")
    return merged


def _tls(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    if not configuration.verify_ssl:  # as the kubeconfig itself asks
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
