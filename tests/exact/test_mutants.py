"""A bound that is deliberately too tight or too loose is noticed by the comparison of the two matchers.

The crate is built once more with the feature `mutants`, into its own target directory, and loaded beside the installed
extension.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest

from kato_service.engine import learning, rust
from kato_service.engine.rust import RustMatcher
from kato_spec.parameters import Parameters
from tests.exact.cases import Case, Shape
from tests.exact.twins import Twins

CRATE = Path(__file__).parents[2] / "service" / "kato_matcher"
MUTANTS = ("LowPotential", "LowScattered", "LowRatio", "HighLeast", "CeilLeast", "FewRare")
SEEDS = range(60)
pytestmark = pytest.mark.timeout(900)  # a loaded machine takes its time to compile


@pytest.fixture(scope="module")
def mutants() -> ModuleType:
    command = [CRATE / "with-cargo", "cargo", "build", "--quiet", "--locked", "--features", "python,mutants"]
    subprocess.run(command, cwd=CRATE, check=True, env=os.environ | {"PYO3_BUILD_EXTENSION_MODULE": "1"})
    built = CRATE / "target" / "debug" / "libkato_matcher.so"
    spec = importlib.util.spec_from_file_location("mutants._matcher", built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def differs(module: ModuleType, seed: int) -> bool:
    """Say whether the module's matcher answers otherwise than the plain one, or not at all."""
    shape = Shape(seed, alphabet=6 + seed % 60, patterns=150, longest=8, widest=2, state=5, words=False, kin=0.6)
    case = Case(shape)
    with patch.object(rust, "Index", module.Index):
        twins = Twins(RustMatcher())
    twins.apply(case.operations())
    long = learning.build("trap", tuple((f"s{number % 6}",) for number in range(18)))
    assert long is not None
    twins.apply([long])
    stm = case.state() if seed else long.events[:7]  # 14 / 25, a trap of engine.md, section 7
    everything = json.loads(twins.plain.predict(stm, Parameters(recall_threshold=0.0, max_predictions=10_000)))
    reached = sorted({found["similarity"] for found in everything["predictions"]})
    for threshold in (0.1, *reached[:: len(reached) // 6 + 1], 2 * 7 / 25):
        for metric in ("potential", "snr"):
            try:
                twins.predict(
                    stm,
                    Parameters(recall_threshold=threshold, max_predictions=5).model_copy(
                        update={"rank_sort_algo": metric}
                    ),
                )
            except (AssertionError, RuntimeError):
                return True
    return False


def test_without_a_mistake_nothing_differs(mutants: ModuleType) -> None:
    assert set(mutants.choose_mutant("none")) == set(MUTANTS)
    assert not any(differs(mutants, seed) for seed in SEEDS)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mistake_is_noticed(mutants: ModuleType, mutant: str) -> None:
    mutants.choose_mutant(mutant)
    assert any(differs(mutants, seed) for seed in SEEDS)
