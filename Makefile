# The same commands for a person, for pre-commit and for CI.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MEASURED := loss evaluation input step
EXTRAS ?= dev,optuna,tensorboard

export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
export RAY_USAGE_STATS_ENABLED ?= 0

.DEFAULT_GOAL := help
.PHONY: help install check fix fast test coverage demo docs bench clean

help: ## this list
	@awk -F ' ## ' '/^[a-z]+:.* ## / {sub(/:.*/, "", $$1); printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $(STAMP)

install: $(STAMP) ## make .venv with everything that is needed here; nothing to do when it is up to date

check: install ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: install ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fast: install ## the default tier: unit and parity tests, doctests
	$(BIN)/python tests/tiers.py default

test: install ## every tier that this machine can run, and one closing summary
	$(BIN)/python tests/tiers.py

coverage: install ## the default tier, with lines that no test reaches
	$(BIN)/python -m pytest --cov --cov-report=term-missing

demo: install ## a sweep in minutes, on this machine, with its MLflow store in runs/demo
	$(BIN)/python experiments/ohem_sweep.py --smoke --storage runs/demo

docs: install ## run every code block of README and docs
	$(BIN)/python -m pytest tests -m examples -k docs

bench: install ## speed and memory, as ratios measured in one run; the tables of the documentation
	set -e; for name in $(MEASURED); do $(BIN)/python experiments/benchmarks/$$name.py --out experiments/benchmarks/results/$$name.json $(if $(REFERENCE),--reference $(REFERENCE)); done
	$(BIN)/python experiments/benchmarks/page.py

clean: ## remove caches and builds, not .venv and not runs
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov .coverage *.egg-info
