# Everything a machine needs to run, check and build dispatcher. `make help` lists the targets; `make demo` and
# `make test` begin on a fresh machine and set up what they need in .venv/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Distributions keep mosquitto where the PATH of an ordinary user does not look.
export PATH := $(PATH):/usr/sbin:/usr/local/sbin

PYTHON ?= python3
BIN := .venv/bin
# More arguments for pytest, for example PYTEST_ARGS="-k retry".
PYTEST_ARGS ?=
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

.PHONY: help setup services synapse foreign demo test test-long lock image-steps bench profile clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: .venv/.installed  ## create .venv/ with everything pinned in requirements-dev.lock
	@:

.venv/.installed: requirements-dev.lock pyproject.toml
	@scripts/environment.sh "$(PYTHON)" .venv
	@touch $@

services:  # programs that only the tests need
	@scripts/services.sh mosquitto=mosquitto mosquitto_pub=mosquitto-clients chromium=chromium strace=strace systemd-analyze=systemd cc=build-essential

synapse: setup  # a Matrix homeserver that only the tests need, apart from what is ours
	@scripts/synapse.sh .venv/synapse

foreign:  # programs that are only measured beside ours
	@scripts/foreign.sh .venv/foreign

demo: setup  ## an exercise from event to posts on this machine; ONCE=1 runs it once and ends
	@$(BIN)/dispatcher demo $(if $(ONCE),--once)

test: setup services synapse  ## every check and every test but the long ones
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest -q $(PYTEST_ARGS)

test-long: setup services  ## the tests that take minutes
	@$(BIN)/pytest -q -n 0 -m long $(PYTEST_ARGS) tests/acceptance
	@$(BIN)/pytest -q -m long $(PYTEST_ARGS) tests/unit tests/simulation

lock: setup  ## pin the newest dependencies that pyproject.toml allows
	@$(BIN)/python -m pip install --quiet "uv>=0.9"
	@$(COMPILE) pyproject.toml --upgrade --extra cards --output-file requirements.lock > /dev/null
	@$(COMPILE) pyproject.toml --upgrade --extra dev --extra embedded --extra cards --output-file requirements-dev.lock > /dev/null
	@echo matrix-synapse | $(COMPILE) - --upgrade --output-file requirements-synapse.lock > /dev/null
	@sed -i '1i # Written by `make lock`.' requirements.lock requirements-dev.lock requirements-synapse.lock

image-steps:  ## run the steps of the Dockerfile in a scratch directory, without a container engine
	@$(PYTHON) scripts/image_steps.py

bench: setup services foreign  ## measure beside others and write docs/performance.md; RUNS=5, FULL=1 for 3,000 channels
	@$(BIN)/python -m benchmarks

profile: setup services  ## where the CPU time goes: a table and flame graphs in build/profile/
	@$(BIN)/python -m benchmarks.profiling

clean:  ## remove what the other targets made
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +
