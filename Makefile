# Every target works from a fresh clone; the environment is .venv in the project.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint audit bench lock clean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.complete ## make the environment .venv with everything pinned

.venv/.complete: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

demo: setup ## segment photographs through the local pipeline, and name the report
	$(BIN)/python -m scripts.demo

test: setup ## lint, types, import directions, and the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest

lint: setup ## put the code in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

audit: setup ## verify that the pinned packages fit together
	$(BIN)/pip check

bench: setup ## time the engine on this machine (takes minutes)
	$(BIN)/python -m tests.benchmarks.engine

lock: ## resolve the newest packages that pyproject.toml allows into requirements.lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet torch==2.13.0
	.venv-lock/bin/pip install --quiet --editable .[demo,dev]
	.venv-lock/bin/pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock
	rm -rf .venv-lock

clean: ## remove the environment and the demo's output
	rm -rf .venv demo
