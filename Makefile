# make demo    set up, then a search of three minutes on images that come with the project
# make test    set up with the development tools, then the test suite
# make long    the tests that are too long for each change: more faults, more fuzzing, all notebooks in full
# make check   format, lint, types, which room may import which, and the documentation
# make docs    the documentation as a site: build/docs/index.html
# make lock    the tested versions with their hashes: build/requirements.lock (needs uv)
#
# PYTHON=python3.12 names the interpreter, VENV=DIR the virtual environment; PYTEST_ARGS and DEMO_ARGS are handed on.

SHELL := /bin/bash
PYTHON ?=
VENV ?= .venv
BUDGET ?= 3m
PIP_INSTALL := $(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
# Whole files to two processes, in order: tests/faults, which takes longest, begins at once.
PYTEST := $(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
# The config says strict. The variable leaves out what mkdocs-material prints of itself at each start.
BUILD_DOCS := NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict -f docs/config/mkdocs.yml

.PHONY: help demo test long check docs lock format clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed '/^$$/q'

demo: $(VENV)/.installed
	$(VENV)/bin/nas search --budget $(BUDGET) $(DEMO_ARGS)

test: $(VENV)/.installed-dev
	$(PYTEST) -m 'not long' $(PYTEST_ARGS)

long: $(VENV)/.installed-dev
	$(PYTEST) -m long $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(BUILD_DOCS)

docs: $(VENV)/.installed-dev
	$(BUILD_DOCS)

lock:
	@command -v uv >/dev/null || { echo "error: make lock needs uv: pip install uv" >&2; exit 2; }
	@mkdir -p build
	uv pip compile --quiet --all-extras -c constraints.txt --generate-hashes -o build/requirements.lock pyproject.toml

format: $(VENV)/.installed-dev
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# The last word of each recipe is the stamp: it is there when everything before it went well.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (torch is large: this may take some minutes)"
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV), with the development tools (torch is large: this may take some minutes)"
	$(PIP_INSTALL) -e '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/bin/python:
	@candidates='$(or $(PYTHON),python3 python3.13 python3.12 python3.11 python)'; found=; \
	for python in $$candidates; do \
	    if command -v "$$python" >/dev/null && \
	        "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "error: Python 3.11 or newer is needed; looked for: $$candidates. Name one with make PYTHON=/path/to/python" >&2; \
	    exit 2; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "error: $$found has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
	    exit 2; \
	fi; \
	"$$found" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
