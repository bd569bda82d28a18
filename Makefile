# Every target sets up what it needs: `make run` and `make test` are enough on a fresh machine.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
SUITE ?= smoke
OUT ?= bench-$(SUITE).jsonl
SOURCES := crds operator service tests
CRATE := service/kato_matcher
CARGO := cargo
CRATE_SOURCES := $(wildcard $(CRATE)/src/*.rs $(CRATE)/Cargo.*)
FAST_TESTS := tests/unit tests/rules
PYTEST := $(BIN)/python -m pytest -q
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test test-long check check-rust format generate bench wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One environment; what a target needs beyond the last installation is added to it.
$(VENV)/.run: pyproject.toml $(CRATE_SOURCES)
	@test -n "$(PYTHON)" || { echo "make: no python3.11 or newer on PATH" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11; set PYTHON=" >&2; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[service]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(CRATE_SOURCES) | $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

run: $(VENV)/.run ## the main job on this machine: two processors, a real text stream, predictions
	$(BIN)/kato demo --file examples/quickstart.yaml

check: $(VENV)/.dev check-rust ## format, lint, types, import arrows, drift of generated files, unit tests
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m kato_spec.generate --check
	$(PYTEST) -n 2 $(FAST_TESTS)

check-rust: ## the same of the fast matcher's crate
	$(CARGO) fmt --check --manifest-path $(CRATE)/Cargo.toml
	$(CARGO) clippy --quiet --locked --all-targets --features python --manifest-path $(CRATE)/Cargo.toml -- -D warnings
	$(CARGO) test --quiet --locked --manifest-path $(CRATE)/Cargo.toml

test: check ## every test
	$(PYTEST) -n 2 -m 'not long' $(addprefix --ignore=,$(FAST_TESTS)) tests

test-long: $(VENV)/.dev ## the counts too high for `make test`
	$(PYTEST) -m long tests

format: $(VENV)/.dev ## rewrite the sources in the one format
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)
	$(CARGO) fmt --manifest-path $(CRATE)/Cargo.toml

generate: $(VENV)/.dev ## write the files that are made from the models
	$(BIN)/python -m kato_spec.generate

bench: $(VENV)/.dev ## measure: make bench SUITE=smoke OUT=file
	$(BIN)/python -m tests.bench --suite $(SUITE) --out $(OUT)

wheel: $(VENV)/.run ## the distribution with the fast matcher in it, into wheels/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir wheels .

clean: ## remove the environment and what tools left
	rm -rf $(VENV) build dist wheels $(CRATE)/target service/kato_service/engine/*.so *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
