# Every target sets up what it needs: `make run` and `make test` are enough on a fresh machine.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
SUITE ?= smoke
OUT ?= bench-$(SUITE).jsonl
CLUSTER ?= dev
SOURCES := crds examples operator service tests
CRATE := service/kato_matcher
CRATE_SOURCES := $(shell find $(CRATE)/src -name '*.rs') $(wildcard $(CRATE)/Cargo.*)
WITH_CARGO := $(CRATE)/with-cargo
EXTENSION := service/kato_service/engine/_matcher*.so
FAST_TESTS := tests/unit tests/rules
OPERATOR_TESTS := tests/operator
END_TO_END_TESTS := tests/e2e
OTHER_CLUSTER_TESTS := tests/chart tests/cluster
# What is never imported is never compiled.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
PYTEST := $(BIN)/python -m pytest -q
# Where it is set, each of the many processes that are started here would compile this project's sources anew.
unexport PYTHONDONTWRITEBYTECODE
# What mypy knows of the libraries holds for every working copy; it goes by their versions itself.
export MYPY_CACHE_DIR ?= $(HOME)/.cache/kato-operator/mypy
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test test-cluster test-cluster-operator test-cluster-e2e test-cluster-others test-matcher test-long check check-rust format generate bench wheel clean cluster cluster-exec cluster-down

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One environment; what a target needs beyond the last installation is added to it.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no python3.11 or newer on PATH" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11; set PYTHON=" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

# An extension that cannot be built anew leaves none: an old one would stand for sources that are not its own.
$(VENV)/.run: pyproject.toml $(CRATE_SOURCES) | $(BIN)/python
	@rm -f $(EXTENSION)
	$(WITH_CARGO) $(PIP_INSTALL) -e '.[service,gateway]'
	@touch $@

# All that `.run` is, and more. Tests count on the fast matcher alone, so cargo is installed where it is missing.
$(VENV)/.dev: pyproject.toml $(CRATE_SOURCES) | $(BIN)/python
	@rm -f $(EXTENSION)
	$(WITH_CARGO) --install $(PIP_INSTALL) -e '.[dev]'
	@$(BIN)/python -c 'import kato_service.engine._matcher' || { echo "make: the fast matcher was not built; $(BIN)/python -m pip install -v -e . says why" >&2; exit 1; }
	@touch $(VENV)/.run $@

run: $(VENV)/.run ## the main job on this machine: two processors, a real text stream, predictions
	$(BIN)/kato demo --file examples/quickstart.yaml

check: $(VENV)/.dev ## format, lint, types, import arrows, drift of generated files, unit tests
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m kato_spec.generate --check
	$(BIN)/python -m kato_cli.reference --check
	$(BIN)/python -m kato_client.generate --check
	$(PYTEST) -n 2 $(FAST_TESTS)

# Debian's cargo comes without clippy: what a toolchain lacks is said, not failed.
RUST_CHECK = cd $(CRATE) && if ! ./with-cargo cargo $(1) --version >/dev/null 2>&1; then echo "make: this cargo has no $(1): not checked with it"; else ./with-cargo cargo $(1) $(2); fi
check-rust: $(VENV)/.dev ## format, lint and unit tests of the fast matcher's crate
	@$(call RUST_CHECK,fmt,--check)
	@$(call RUST_CHECK,clippy,--quiet --locked --all-targets --features python -- -D warnings)
	cd $(CRATE) && ./with-cargo cargo test --quiet --locked

# Two workers for each of two cores: half of these tests' time goes by waiting. In the files' order: by the number of
# their tests, which is pytest-xdist's own, the slowest would come last and alone.
test: $(VENV)/.dev ## every test, those on a real Kubernetes too, raised for them (Debian, root)
	$(MAKE) --jobs=2 --output-sync=target check check-rust
	$(BIN)/python -m tests.support.stores
	$(PYTEST) -n 4 --dist loadfile --no-loadscope-reorder -m 'not long' \
		$(addprefix --ignore=,$(FAST_TESTS) $(OPERATOR_TESTS) $(END_TO_END_TESTS) $(OTHER_CLUSTER_TESTS)) tests
	$(MAKE) test-cluster

# The first test of a cluster raises it and brings the images onto it.
CLUSTER_TIMEOUT := --timeout 900

# Clusters side by side, each for a part of the tests: most of their time goes by waiting.
test-cluster: $(VENV)/.dev ## the tests on a real Kubernetes alone
	$(BIN)/python -m tests.support.cluster prepare
	$(MAKE) --jobs=3 --keep-going test-cluster-operator test-cluster-e2e test-cluster-others

test-cluster-operator: $(VENV)/.dev
	$(PYTEST) $(CLUSTER_TIMEOUT) -n 2 --dist loadfile -m 'not long' $(OPERATOR_TESTS)

test-cluster-e2e: $(VENV)/.dev
	$(PYTEST) $(CLUSTER_TIMEOUT) -n 2 --dist loadfile --no-loadscope-reorder -m 'not long' $(END_TO_END_TESTS)

test-cluster-others: $(VENV)/.dev
	$(PYTEST) $(CLUSTER_TIMEOUT) -m 'not long' $(OTHER_CLUSTER_TESTS)

test-matcher: check-rust ## the crate's own tests and those that hold the fast matcher to the plain one
	$(PYTEST) -n 2 -m 'not long' tests/exact

test-long: $(VENV)/.dev ## the counts too high for `make test`
	$(BIN)/python -m tests.support.stores
	$(BIN)/python -m tests.support.cluster prepare
	$(PYTEST) $(CLUSTER_TIMEOUT) -n 2 --dist worksteal -m long tests

format: $(VENV)/.dev ## rewrite the sources in the one format
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)
	cd $(CRATE) && ./with-cargo cargo fmt

generate: $(VENV)/.dev ## write the files that are made from the models and the help texts
	$(BIN)/python -m kato_spec.generate
	$(BIN)/python -m kato_cli.reference
	$(BIN)/python -m kato_client.generate

bench: $(VENV)/.dev ## measure: make bench SUITE=smoke OUT=file PLOT=curves.svg
	$(BIN)/python -m tests.bench --suite $(SUITE) --out $(OUT) $(if $(PLOT),--plot $(PLOT))

IN_CLUSTER = $(BIN)/python -m tests.support.cluster exec --name $(CLUSTER) --
RELEASE := kato-operator charts/kato-operator --namespace kato-system --create-namespace

cluster: $(VENV)/.dev ## a Kubernetes on this machine with the operator on it, left running
	$(BIN)/python -m tests.support.cluster up --name $(CLUSTER)
	$(BIN)/python -m tests.support.cluster load --name $(CLUSTER)
	$(IN_CLUSTER) helm upgrade --install $(RELEASE) --wait --timeout 3m
	@echo
	@echo "The operator runs. What to type next:"
	@echo "  make cluster-exec CMD='kubectl apply -f examples/quickstart.yaml'"
	@echo "  make cluster-exec CMD='kubectl wait --for=condition=Ready katoprocessor --all'"
	@echo "  make cluster-exec CMD='kubectl get katoprocessors'"
	@echo "  make cluster-down"

cluster-exec: export CMD := $(CMD)
cluster-exec: $(VENV)/.dev ## run CMD where that cluster can be reached: make cluster-exec CMD='kubectl get pods'
	@$(IN_CLUSTER) bash -c "$$CMD"

cluster-down: $(VENV)/.dev ## end that cluster
	$(BIN)/python -m tests.support.cluster down --name $(CLUSTER)

wheel: $(VENV)/.run ## the wheels that the images install, with the fast matcher in this project's own, into wheels/
	@rm -rf wheels
	$(WITH_CARGO) --install $(BIN)/python -m pip wheel --quiet --wheel-dir wheels '.[service,operator]'
	@$(BIN)/python -m zipfile --list wheels/kato_operator-*.whl | grep '_matcher.*so' >/dev/null || { echo "make: the fast matcher was not built; $(BIN)/python -m pip wheel -v --no-deps . says why" >&2; exit 1; }

clean: ## remove the environment and what tools left
	rm -rf $(VENV) build dist wheels $(CRATE)/target $(EXTENSION) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
