# Every target sets up what it needs, in .venv, from the lock files in requirements/. PYTHON=… picks the interpreter.
# Which broker demo, test, chaos and bench use: HEADGATE_BOOTSTRAP_SERVERS if set, else a container, else the embedded
# broker; HEADGATE_BROKER=container|embedded insists on one. ARGS=… is handed on to the program that a target runs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test chaos bench lint format lock lock-upgrade lock-check clean

PYTHON_HERE := .venv/bin/python

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s%s\n", $$1, $$2}' Makefile

demo: ## real flights through a real Kafka, from start to end
	@requirements/install dev
	@.venv/bin/headgate demo $(ARGS)

test: ## the whole test suite
	@requirements/install test
	@$(PYTHON_HERE) -m pytest $(ARGS)

chaos: ## processes killed at random moments, at length
	@requirements/install test
	@$(PYTHON_HERE) -m tests.chaos $(ARGS)

bench: ## speed, side by side with hand-written loops
	@requirements/install test
	@$(PYTHON_HERE) -m tests.bench $(ARGS)

lint: ## style, types and the directions of imports
	@requirements/install lint
	$(PYTHON_HERE) -m ruff check
	$(PYTHON_HERE) -m ruff format --check
	$(PYTHON_HERE) -m mypy
	.venv/bin/lint-imports --cache-dir .import_linter_cache

format: ## style that can be mended by itself
	@requirements/install lint
	$(PYTHON_HERE) -m ruff check --fix
	$(PYTHON_HERE) -m ruff format

lock: ## lock files that follow from pyproject.toml
	@requirements/install lock
	$(PYTHON_HERE) requirements/lock.py

lock-upgrade: ## the same with the newest versions
	@requirements/install lock
	$(PYTHON_HERE) requirements/lock.py --upgrade

lock-check: ## whether the lock files follow from pyproject.toml
	@requirements/install lock
	@$(PYTHON_HERE) requirements/lock.py --check

clean: ## removes what the other targets made; the embedded broker's cache stays
	rm -rf .venv .venv.lock build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find controller events tests -type d -name __pycache__ -prune -exec rm -rf {} +
