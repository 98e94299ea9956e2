# `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
# Debian's own is compiled with profile-guided and link-time optimization, which one that was built
# by hand mostly lacks: the same code then takes a third longer.
PYTHON ?= $(shell for each in /usr/bin/python3.11 "$$(command -v python3.11)" python3; do \
	"$$each" -c 'import ensurepip, venv' 2>/dev/null && break; done; echo "$$each")
VENV := .venv/bin
PIP := $(VENV)/python -m pip install --disable-pip-version-check
SCALE ?=
# Processes that share the tests, file by file, each with servers of its own: the tests mostly wait.
WORKERS ?= 2
MINUTES ?=
SEED ?=
BROKERS ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run up down test coverage bench bench-quick chaos chaos-tests check format lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*##/ {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: .venv/ready ## make .venv from the locked dependencies

.venv/ready: requirements-dev.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 is needed: make PYTHON=/path/to/python3.11 …"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || dev/packages.sh python3-venv
	@echo "setting up .venv …"
	@$(VENV)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(PIP) --require-hashes -r requirements-dev.lock | sed -un 's/^ *\(Downloading\|Using cached\) /  /p'
	@$(PIP) -q --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## start everything on http://localhost:5001   [SCALE="web=2 messages=2"]
	@$(VENV)/python -m dev run $(SCALE)

up: setup ## start the servers alone, in the background
	@$(VENV)/python -m dev up

down: setup ## stop the servers that `make up` started
	@$(VENV)/python -m dev down

test: setup ## the whole suite, on real servers of its own   [ARGS="-k …"]
	@$(VENV)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

coverage: setup ## the same, with each line and branch that it ran; slower
	@$(MAKE) test ARGS="--cov --cov-report=term $(ARGS)"

bench: setup ## measure everything against its references, about 15 minutes; writes docs/benchmarks.md   [ARGS="--only max,direct"]
	@$(VENV)/python -m bench full $(ARGS)

bench-quick: setup ## did it get slower? one pass in little, 2 minutes; writes nothing   [ARGS="--only post64"]
	@$(VENV)/python -m bench quick $(ARGS)

chaos: setup ## break everything, show that nothing is lost   [MINUTES=60] [SEED=7] [BROKERS=3]
	@MINUTES=$(MINUTES) SEED=$(SEED) BROKERS=$(BROKERS) $(VENV)/python -m tests.chaos

chaos-tests: setup ## the long tests of the guarantee: three brokers, a rolling restart, elections
	@$(VENV)/python -m pytest -m soak tests/chaos tests/integration -s

check: setup ## format, lint, types, import contracts
	@$(VENV)/ruff format --check -q .
	@$(VENV)/ruff check -q .
	@$(VENV)/mypy
	@contracts=$$($(VENV)/lint-imports --no-logo) && tail -n 1 <<<"$$contracts" || { echo "$$contracts"; exit 1; }

format: setup ## format the code
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix .

lock: setup ## write the lock files anew
	@for name in requirements requirements-dev; do $(VENV)/uv pip compile -q --upgrade $$name.in --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o $$name.lock; done
	@$(VENV)/uv pip compile -q --upgrade bench/requirements.in -c requirements.lock --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o bench/requirements.lock
	@$(VENV)/uv pip compile -q --upgrade dev/servers.in --no-deps --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o dev/servers.lock

clean: ## remove what the tools left (not the servers' data)
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
