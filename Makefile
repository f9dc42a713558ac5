# cardd: every target says what it does. Start with `make demo`, or `make help`.

SHELL := /bin/bash
PYTHON := .venv/bin/python
# `make demo DEMO=light` does without root, compiler and pcscd also where they can be had.
DEMO ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo play test fuzz check bench lock clean

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with the programs in it; install system packages where that is possible
	@echo "make setup: the programs in .venv" >&2
ifeq ($(DEMO),light)
	@scripts/system-packages light
	@scripts/setup run
else
	@scripts/system-packages full || { scripts/system-packages light && \
	  echo "Going on without them: the built-in virtual reader takes the place of PC/SC." >&2; }
	@scripts/setup
endif

setup-dev:
	@scripts/system-packages tests
	@scripts/setup dev
	@scripts/node-modules
	@scripts/libnfc-pcsc

demo: setup ## show the main job end to end on virtual readers and badges (DEMO=light: no root)
	@echo "make demo: from two blank badges to a signed, verified, revoked one" >&2
	@$(PYTHON) scripts/demo $(if $(DEMO),--$(DEMO))

play: setup ## the same world stays up: tap, pull, cut and revoke by single keys
	@echo "make play: four people, four badges, one reader" >&2
	@$(PYTHON) scripts/play $(if $(DEMO),--$(DEMO))

test: setup-dev ## install what is missing and run every test
	@echo "make test: every test" >&2
	@$(PYTHON) -m pytest -n 2 --dist loadfile --desfire-coverage=95

fuzz: setup-dev ## run the random tests for SECONDS (600), each round with a seed (or with SEED)
	@echo "make fuzz: random tests, for $(or $(SECONDS),600) s" >&2
	@$(PYTHON) scripts/fuzz "$(SECONDS)" "$(SEED)"

check: setup-dev ## formatting, linters, types, layers, and that nothing names this machine
	@echo "make check: ruff, mypy, import-linter, addresses" >&2
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports
	@$(PYTHON) scripts/check-no-addresses

bench: setup-dev ## run the benchmarks: a table, and bench/results/latest.json
	@echo "make bench: the benchmarks" >&2
	@$(PYTHON) -m bench

lock: ## compile the lock files anew from pyproject.toml (needs uv)
	@echo "make lock: locks/*.txt" >&2
	@scripts/lock

clean: ## remove .venv, caches and results
	@echo "make clean: .venv, caches, results" >&2
	@rm -rf .venv dist bench/results tests/peers/node/node_modules tests/peers/libnfc .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
