"""With cargo and without: the package installs either way, says what serves, and the build finds or gets a cargo."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster.images import INPUTS, ROOT, copy
from tests.support.service_process import ServiceProcess

CRATE = ROOT / "service" / "kato_matcher"
WITH_CARGO = CRATE / "with-cargo"
TOOLS = ("sh", "sed", "dirname", "grep")
pytestmark = pytest.mark.timeout(900)  # a loaded machine takes its time to install


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A directory to be the whole PATH: the shell's tools and nothing else."""
    directory = tmp_path / "bare"
    directory.mkdir()
    for tool in TOOLS:
        found = subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True, text=True, check=True)
        (directory / tool).symlink_to(found.stdout.strip())
    return directory


def program(directory: Path, name: str, script: str) -> None:
    """Put a program on a bare PATH."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def with_cargo(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "HOME": str(path)}
    return subprocess.run([WITH_CARGO, *words], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def without_cargo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that pip has installed where there is no cargo."""
    top = tmp_path_factory.mktemp("without-cargo")
    (top / "source").mkdir()
    for name in INPUTS:
        copy(ROOT / name, top / "source" / name)
    installed = top / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", installed, top / "source"]
    subprocess.run(pip, check=True, env=os.environ | {"PATH": str(top / "nothing")})
    assert (installed / "kato_service" / "engine" / "rust.py").exists()
    assert not list(installed.rglob("_matcher*.so"))
    with ServiceProcess(top, {"PYTHONPATH": str(installed)}).start() as running:
        yield running


def test_without_cargo_it_says_that_the_plain_matcher_serves(without_cargo: ServiceProcess) -> None:
    (warning,) = [line for line in without_cargo.lines() if line["event"] == "slow_matcher"]
    assert (warning["level"], warning["matcher"]) == ("warning", "oracle")
    assert "cargo" in warning["help"]
    with without_cargo.client() as api:
        (served,) = api.get("/status").json()["processors"].values()
    assert served["matcher"] == "oracle"


def test_without_cargo_it_answers(without_cargo: ServiceProcess) -> None:
    with without_cargo.client() as api:
        session = f"/sessions/{api.post('/sessions', json={'user_id': 'u'}).json()['session_id']}"
        body = {"observations": [{"strings": ["a"]}, {"strings": ["b"]}, {"strings": ["c"]}], "learn_at_end": True}
        assert api.post(f"{session}/observe-sequence", json=body).status_code == 200
        (found,) = api.post(f"{session}/predictions", json={"stm": [["a"], ["b"]]}).json()["predictions"]
    assert found["future"] == [["c"]]


def test_another_home_hides_no_toolchain(tmp_path: Path) -> None:
    environment = os.environ | {"HOME": str(tmp_path)}
    words = [WITH_CARGO, "sh", "-c", "cargo --version && rustc --version"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["cargo", "rustc"]


def test_without_cargo_a_command_runs_all_the_same(bare_path: Path) -> None:
    done = with_cargo(bare_path, "sh", "-c", "echo ran; command -v cargo || echo none")
    assert (done.returncode, done.stdout.split()) == (0, ["ran", "none"])


def test_without_cargo_and_debian_it_says_what_is_needed(bare_path: Path) -> None:
    program(bare_path, "id", "echo 0")
    program(bare_path, "cargo", "echo cargo 1.60.0")
    done = with_cargo(bare_path, "--install", "sh", "-c", "echo ran")
    assert (done.returncode, done.stdout) == (1, "")
    assert "needs cargo 1.85 or newer" in done.stderr


def test_debians_newest_cargo_is_installed(bare_path: Path) -> None:
    made = f"{bare_path}/cargo"
    install = f'printf "#!/bin/sh\\necho cargo 1.96.0\\n" > {made}; /bin/chmod +x {made}; echo "$@" > {bare_path}/asked'
    program(bare_path, "id", "echo 0")
    program(bare_path, "apt-get", f'case "$1" in install) {install} ;; esac')
    program(
        bare_path,
        "apt-cache",
        'case "$2" in cargo) echo "  Candidate: 0.66.0+ds1-1" ;; *) echo "  Candidate: 1.96.0+dfsg1" ;; esac',
    )
    done = with_cargo(bare_path, "--install", "cargo", "--version")
    assert (done.returncode, done.stdout.strip()) == (0, "cargo 1.96.0"), done.stderr
    assert "cargo-web" in (bare_path / "asked").read_text().split()


def test_every_source_of_the_crate_makes_the_extension_anew() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    words = ["make", "--print-data-base", "--dry-run", "help"]
    told = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    sources = {str(path.relative_to(ROOT)) for path in (CRATE / "src").rglob("*.rs")}
    for stamp in (".venv/.run:", ".venv/.dev:"):
        (rule,) = [line for line in told.splitlines() if line.startswith(stamp)]
        assert sources | {"service/kato_matcher/Cargo.toml", "service/kato_matcher/Cargo.lock"} <= set(rule.split())
