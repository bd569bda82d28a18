"""Which cluster, as whom and in which namespace: as kubectl reads a kubeconfig."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kato_operator.remote.kubeconfig import NoCluster, connect


def kubeconfig(path: Path, *, current: str = "first") -> Path:
    """Write a kubeconfig with the contexts `first` and `second`; only the second names a namespace."""
    contexts = {"first": {}, "second": {"namespace": "theirs"}}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.test:6443"}} for name in contexts],
        "users": [{"name": name, "user": {"token": f"token-of-{name}"}} for name in contexts],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": name, **more}} for name, more in contexts.items()
        ],
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("namespace", "context", "meant"),
    [
        (None, None, ("first", "default")),
        (None, "second", ("second", "theirs")),
        ("mine", "second", ("second", "mine")),
        ("mine", None, ("first", "mine")),
    ],
)
def test_a_context_and_a_namespace_win_over_the_current_ones(
    tmp_path: Path, namespace: str | None, context: str | None, meant: tuple[str, str]
) -> None:
    found = connect(namespace, context, kubeconfig(tmp_path / "config"))
    name = meant[0]
    assert (found.server, found.authorization) == (f"https://{name}.test:6443", f"Bearer token-of-{name}")
    assert found.namespace == meant[1]


def test_a_context_can_be_named_where_none_is_current(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", current="")
    assert connect(None, "second", file).namespace == "theirs"
    with pytest.raises(NoCluster, match="contexts list"):
        connect(None, None, file)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoCluster, match="third"):
        connect(None, "third", kubeconfig(tmp_path / "config"))
    with pytest.raises(NoCluster, match="nowhere"):
        connect(None, None, tmp_path / "nowhere")
