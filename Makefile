# `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
SCALE ?=

.DEFAULT_GOAL := help
.PHONY: help setup run up down test check format lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/ready ## make .venv from the locked dependencies

.venv/ready: requirements-dev.lock setup.cfg pyproject.toml
	@echo "setting up .venv …"
	@test -x $(VENV)/python || $(PYTHON) -m venv .venv || { echo "python3-venv is needed: apt-get install python3-venv"; exit 1; }
	@$(VENV)/python -m pip install -q --require-hashes -r requirements-dev.lock
	@$(VENV)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## start everything on http://localhost:5001   [SCALE="web=2 messages=2"]
	@$(VENV)/python -m dev run $(SCALE)

up: setup ## start the servers alone, in the background
	@$(VENV)/python -m dev up

down: setup ## stop the servers that `make up` started
	@$(VENV)/python -m dev down

test: setup ## the whole suite, on real servers of its own, with coverage
	@$(VENV)/python -m pytest --cov --cov-report=term $(ARGS)

check: setup ## format, lint, types, import contracts
	@$(VENV)/ruff format --check -q .
	@$(VENV)/ruff check -q .
	@$(VENV)/mypy
	@$(VENV)/lint-imports

format: setup ## format the code
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix .

lock: setup ## write the lock files anew
	@for name in requirements requirements-dev; do $(VENV)/uv pip compile -q --upgrade $$name.in --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o $$name.lock; done
	@$(VENV)/uv pip compile -q --upgrade dev/servers.in --no-deps --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o dev/servers.lock

clean: ## remove what the tools left (not the servers' data)
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
