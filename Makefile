# Every target uses the virtual environment that `make install` makes; nothing else has to be
# installed by hand.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.docs
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-card test-gpu lint format docs docs-reference build bench bench-gpu bench-gpu-short campaign clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(STAMP)  ## make .venv with the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "comptool needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing. Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -c 'import cv2, torch' || \
	  { echo "A system library is missing (the line above names it). Debian and Ubuntu: apt-get install libgl1 libglib2.0-0 libgomp1" >&2; exit 1; }
	@touch $@

demo: $(STAMP)  ## the whole chain on a practice competition
	PATH="$(CURDIR)/$(BIN):$$PATH" bash submissions/mavoc/run.sh

test: $(STAMP)  ## the tests that a CPU can run in 12 minutes
	$(PYTEST) -n 2 --dist loadfile -m "not slow and not gpu and not card"

test-card: $(STAMP)  ## CUDA code on a pretended card (needs gcc)
	$(PYTEST) -n 2 -m "card and not slow" tests/card

test-slow: $(STAMP)  ## the long tests
	$(PYTEST) -m "slow and not gpu"

test-gpu: $(STAMP)  ## the tests that need a CUDA device
	$(PYTEST) -m gpu

lint: $(STAMP)  ## ruff (format and rules) and mypy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS_STAMP)  ## the documentation as HTML, docs/_build/html/index.html
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

docs-reference: $(STAMP)  ## write docs/cli/ from the commands and ARCHITECTURE.md from the docstrings
	$(BIN)/python docs/generate_cli.py
	$(BIN)/python docs/generate_map.py

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

build: $(STAMP)  ## wheel and source archive in dist/
	$(BIN)/python -m build

bench: $(STAMP)  ## the benchmarks, into benchmarks/results/ (see benchmarks/README.md)
	$(BIN)/python benchmarks/run.py $(BENCH)

bench-gpu: $(STAMP)  ## those that need a CUDA device
	$(BIN)/python benchmarks/run.py --gpu $(BENCH)

bench-gpu-short: $(STAMP)  ## the most important of them, in eight minutes
	$(BIN)/python benchmarks/gpu_short.py $(BENCH)

campaign: $(STAMP)  ## kills, changed inputs, load and concurrency (CAMPAIGN="kills --number 20")
	$(BIN)/python -m benchmarks.campaign $(or $(CAMPAIGN),all)

clean:  ## remove what was built; .venv stays
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache practice docs/_build
