# The vocabulary of this project, the same for people, hooks and CI. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
STAMP := $(VENV)/.installed
UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements-dev.lock)
export UV_HTTP_TIMEOUT ?= 180
# A shell set up for another Airflow or Python project does not reach into this one.
unexport AIRFLOW_HOME VIRTUAL_ENV PYTHONHOME

# What a person may give: make run MODEL=bike_demand DATA=rides.csv
MODEL ?=
DATA ?=
NAME ?=
TARGET ?=
TIME ?=
KEY ?=
TIMEOUT ?=
EXPORT ?=
TESTS ?=
FUZZ_SECONDS ?= 60
# Handed on under names of our own: a bare TIMEOUT in the environment is taken by the S3 client of
# whatever is started from here, and an empty one stops it.
unexport MODEL DATA NAME TARGET TIME KEY TIMEOUT EXPORT
export GIVEN_MODEL := $(MODEL)
export GIVEN_DATA := $(DATA)
export GIVEN_NAME := $(NAME)
export GIVEN_TARGET := $(TARGET)
export GIVEN_TIME := $(TIME)
export GIVEN_KEY := $(KEY)
export GIVEN_TIMEOUT := $(TIMEOUT)
export GIVEN_EXPORT := $(EXPORT)

.PHONY: help setup demo up run down test chaos fuzz check fmt model journal clean lock schema

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-7s\033[0m %s\n", $$1, $$2}'
	@printf '\n  make run MODEL=name [DATA=file] [TIMEOUT=seconds]\n'
	@printf '      ends with its status: 0 a new version answers in staging, 3 there is none and that is\n'
	@printf '      right, 4 the file is in quarantine, 5 it goes on after TIMEOUT, 1 a task failed, 2 it was\n'
	@printf '      asked for wrongly. make itself exits 0 or 2; for scripts: $(RUN) include.evergreen.cli.run --help\n'
	@printf '  make model NAME=name DATA=file TARGET=column [TIME=column] [KEY=column]\n'
	@printf '  make journal [MODEL=name] [EXPORT=file]              why each version is where it is\n'
	@printf '  make test TESTS=tests/unit                           only a part of the tests\n'
	@printf '\n  PYTHON=python3.12 make setup chooses the interpreter (3.11 to 3.13).\n'

setup: $(STAMP) ## Make .venv and install what requirements-dev.lock says; does nothing if that is done

$(STAMP): requirements-dev.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is %d.%d. Choose another: PYTHON=python3.12 make setup" % v)'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo 'This Python cannot make virtual environments: apt-get install python3-venv' >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements-dev.lock
	@touch $@
	@echo "Installed into $(VENV)."

demo: $(STAMP) ## The whole loop on simulated data: first model, drift, retrain, canary, better model
	@$(RUN) include.evergreen.cli.demo

up: $(STAMP) ## Start Airflow and MLflow (what is dead of them) and print the addresses
	@$(RUN) include.evergreen.cli.stack up

run: $(STAMP) ## Put DATA into MODEL's landing zone and watch until it is in staging, or why not
	@$(RUN) include.evergreen.cli.run --model "$$GIVEN_MODEL" --data "$$GIVEN_DATA" \
	    --timeout "$$GIVEN_TIMEOUT"

down: $(STAMP) ## Stop Airflow, MLflow and the served models; all data stays
	@$(RUN) include.evergreen.cli.stack down

# A process for each part, for after two thousand tests in one a native library's thread crashed it.
# Every folder below tests/ is a part, or in one. What a module shares is made once (by file), unless
# its tests wait longer than that takes (one by one). What measures runs alone.
ONE_BY_ONE := tests/containers \
    'tests/chaos --ignore=tests/chaos/storm --ignore=tests/chaos/releases'
ALONE := tests/chaos/storm tests/chaos/releases tests/fuzz
BY_FILE := tests/unit/stages 'tests/unit --ignore=tests/unit/stages' \
    $(filter-out $(ALONE) tests/__pycache__ tests/containers tests/chaos tests/unit,$(patsubst %/,%,$(wildcard tests/*/)))
test: $(STAMP) ## All tests: unit, DAGs, containers, end to end
	@status=0; \
	part() { printf -- '-- pytest %s\n' "$$*"; $(RUN) pytest "$$@" || status=$$?; }; \
	if [ -n '$(TESTS)' ]; then part $(TESTS); \
	else \
	    for folder in $(ONE_BY_ONE); do part -n 2 --dist loadgroup $$folder; done; \
	    for folder in $(BY_FILE); do part -n 2 --dist loadfile $$folder; done; \
	    for folder in $(ALONE); do part $$folder; done; \
	fi; exit $$status

# CHAOS_SEED=, CHAOS_EPISODES=: the first seed and the number of storms, and of releases; CHAOS_REPORT=,
# CHAOS_HISTORY=: the file for the figures and the folder for what was done when. CHAOS_ONLY=: a part of
# a death's name.
chaos: $(STAMP) ## A death at every failpoint, 100 storms, 400 releases under load; hours
	@$(RUN) pytest -n 0 -s -m chaos tests/chaos tests/containers
	@$(RUN) pytest -m '' tests/end_to_end/test_nothing_forgotten.py

fuzz: $(STAMP) ## Throw bytes at the readers of landed files: a minute each, or FUZZ_SECONDS=
	@for format in csv jsonl parquet; do \
	    $(RUN) tests.fuzz "$$format" --seconds '$(FUZZ_SECONDS)'; done

check: $(STAMP) ## What hooks and CI run, in under two minutes: lint, types, layers, fast tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell
	@$(RUN) pytest -n 2 -m 'not slow' tests/unit tests/dags

fmt: $(STAMP) ## Format and fix what can be fixed by itself
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

model: $(STAMP) ## Write the spec of a new model from a file: NAME= DATA= TARGET= [TIME=] [KEY=]
	@$(RUN) include.evergreen.cli.new_model --name "$$GIVEN_NAME" --data "$$GIVEN_DATA" \
	    --target "$$GIVEN_TARGET" --time "$$GIVEN_TIME" --key "$$GIVEN_KEY"

journal: $(STAMP) ## Why each version is where it is, and whether anybody changed the record
	@$(RUN) include.evergreen.cli.journal --model "$$GIVEN_MODEL" --export "$$GIVEN_EXPORT"

clean: $(STAMP) ## Stop everything and delete .evergreen with all data in it
	@$(RUN) include.evergreen.cli.stack clean

lock: $(STAMP) ## Resolve requirements*.txt anew into the lock files, for Python 3.11 to 3.13
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command 'make lock' --output-file requirements.lock requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command 'make lock' --constraint requirements.lock \
	    --output-file requirements-dev.lock requirements-dev.txt
	@for kind in onnx sklearn; do \
	    $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	        --custom-compile-command 'make lock' --constraint requirements.lock \
	        --output-file docker/serving/requirements-$$kind.lock docker/serving/requirements-$$kind.txt; \
	done

schema: $(STAMP) ## Write docs/spec.schema.json after a change of the spec's fields
	@$(RUN) include.evergreen.cli.spec_schema
