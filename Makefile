# Every target works from a fresh clone; the environment is .venv in the project.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup docs demo check static test rehearse lint audit importers notebooks bench lock clean distclean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.complete node_modules/.complete ## make the environment, everything pinned

.venv/.complete: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	@echo "installing what requirements.lock pins: 2.3 GB, some minutes without another line"
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

# Only the commands that deploy need it; where there is no Node, the rest works without.
node_modules/.complete: package.json package-lock.json
	@echo "installing cdktf: 0.4 GB, a minute or two without another line"
	@if npm ci --silent; then touch $@; \
	else echo "warning: no cdktf, which deploys the stacks (npm ci failed); the rest works"; fi

demo: .venv/.complete ## segment photographs through the local pipeline, and name the report
	$(BIN)/python -m scripts.development.demo

# At every save: a minute and a half. What takes longer is in tests/suite.py.
check: setup static ## lint, types, import directions, and the quick tests
	$(BIN)/pytest $(WORKERS) -m unit

test: setup static ## the same with all tests: nine minutes on two cores; CI takes PROCESSES=2
	$(BIN)/pytest $(WORKERS) --durations 10

# More than cores: tests wait a fifth of their time, for a port, a file or a pause.
PROCESSES ?= 3
WORKERS := --numprocesses $(PROCESSES) --dist loadgroup --no-loadscope-reorder

static:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@if [ -e node_modules/.complete ]; then npm run --silent --if-present check; fi

rehearse: setup ## the whole journey in a local cloud, from deploy to destroy, with the real tools
	$(BIN)/sam-vertex rehearse

lint: setup ## put the code in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@if [ -x node_modules/.bin/prettier ]; then npm run --silent format; \
	else echo "warning: the report's page is not formatted, which takes Node"; fi

audit: setup .venv-audit/.complete ## pinned packages fit; no policy finding but the listed ones
	$(BIN)/pip check
	$(BIN)/python -m scripts.development.policy_audit --checkov .venv-audit/bin/checkov

.venv-audit/.complete: requirements-audit.txt
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet --requirement requirements-audit.txt
	touch $@

importers: setup ## open every export with the tools' own importers, and write the table of docs/interop.md
	$(BIN)/python -m tests.importers.run
notebooks: setup ## execute the seven notebooks in a rehearsal and keep them with their pictures
	$(BIN)/python -m scripts.development.notebooks

bench: setup ## time engine and model server on this machine (half an hour)
	$(BIN)/python -m tests.benchmarks.engine
	$(BIN)/python -m tests.benchmarks.growth
	$(BIN)/python -m tests.benchmarks.parity
	$(BIN)/python -m tests.benchmarks.serving

docs: .venv/.complete ## write the generated parts of docs/ anew: cli, settings and speed
	$(BIN)/python -m tests.contracts.generated --write

lock: ## resolve the newest packages that pyproject.toml allows into requirements.lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet torch==2.13.0
	.venv-lock/bin/pip install --quiet --editable .[demo,dev,infra,rehearsal]
	.venv-lock/bin/pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock
	rm -rf .venv-lock
	$(BIN)/python -m scripts.development.container_lock

clean: ## remove what running has made: the demo's and rehearsals' output, caches
	rm -rf cdktf.out demo rehearsal .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -not -path './node_modules/*' -prune -exec rm -rf {} +

distclean: clean ## remove the environments as well (3 GB); never outputs.json, image.json or a state
	rm -rf .venv .venv-audit node_modules *.egg-info
