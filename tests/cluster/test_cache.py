"""A slow part is built once: also when two builds race, one is cut off, or one fails."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster.cache import Part, ensure, keep_latest
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.progress import run_logged
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
# Builds part "slow" under the cache argv[1] and waits, once begun, for the file argv[2].
BUILDER = """
import sys
from pathlib import Path
from tests.support.cluster.cache import Part, ensure
from tests.support.eventually import eventually

def build(target):
    (target / "half").write_text("")
    with open(sys.argv[2] + ".builds", "a") as builds:
        builds.write("x")
    eventually(Path(sys.argv[2]).exists, timeout=60)
    (target / "whole").write_text("done")

print(ensure(Part("slow", "1", build), Path(sys.argv[1])))
"""


def builder(cache: Path, go_on: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", BUILDER, str(cache), str(go_on)]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def builds(go_on: Path) -> int:
    counted = Path(f"{go_on}.builds")
    return len(counted.read_text()) if counted.exists() else 0


def test_two_racing_builds_give_one_result(tmp_path: Path) -> None:
    cache, go_on = tmp_path / "cache", tmp_path / "go-on"
    racers = [builder(cache, go_on) for _ in range(2)]
    eventually(lambda: builds(go_on) == 1, timeout=60)
    go_on.touch()
    outputs = [racer.communicate(timeout=60) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], outputs
    assert {out.strip() for out, _ in outputs} == {str(cache / "slow" / "1")}
    assert builds(go_on) == 1
    assert (cache / "slow" / "1" / "whole").read_text() == "done"


def test_a_build_that_was_cut_off_is_done_again_from_the_start(tmp_path: Path) -> None:
    cache, go_on = tmp_path / "cache", tmp_path / "go-on"
    cut_off = builder(cache, go_on)
    eventually(lambda: builds(go_on) == 1, timeout=60)
    cut_off.send_signal(signal.SIGKILL)
    cut_off.communicate()
    assert not (cache / "slow" / "1").exists()
    go_on.touch()
    second = builder(cache, go_on)
    second.communicate(timeout=60)
    assert builds(go_on) == 2
    assert (cache / "slow" / "1" / "whole").exists()
    assert [path.name for path in (cache / "slow").iterdir() if path.is_dir()] == ["1"], "the half one is gone"


def test_a_failed_build_leaves_nothing_and_says_what_it_said(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def build(target: Path) -> None:
        (target / "half").write_text("")
        run_logged(["sh", "-c", "echo the reason >&2; exit 3"], log)

    with pytest.raises(ClusterError, match=r"failed with code 3(.|\n)*the reason"):
        ensure(Part("broken", "1", build), tmp_path)
    assert not [path for path in (tmp_path / "broken").iterdir() if path.is_dir()]


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no-such-program is not installed"):
        run_logged(["no-such-program"], tmp_path / "log")


def test_another_version_is_another_build_and_old_ones_go(tmp_path: Path) -> None:
    def build(target: Path) -> None:
        (target / "file").touch()

    first, second, third = (ensure(Part("p", key, build), tmp_path) for key in "123")
    keep_latest(first, 2)
    assert [path.is_dir() for path in (first, second, third)] == [True, False, True], "the last used ones stay"
