# `make animate`, `make test` and `make check` need only Python 3.11+, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
JOBS ?= 2
APART := tests/runtime tests/cost tests/server

.DEFAULT_GOAL := help
.PHONY: help animate web test test-slow check format

help:
	@echo "make animate   animate the bundled portrait: result.mp4 and result.png"
	@echo "make web       open the page: animate, live camera, edit"
	@echo "make test      run the tests (JOBS=$(JOBS) processes)"
	@echo "make test-slow run the slow tests too"
	@echo "make check     lint, format and types"
	@echo "make format    rewrite the sources in the house format"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# The stamps are written last, so an interrupted installation is taken up again.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	@touch $@

animate: $(VENV)/.installed
	$(BIN)/fnevr animate -o result.mp4
	$(BIN)/python scripts/make_contact_sheet.py result.mp4 result.png \
		--source src/fnevr/assets/portrait.jpg --around-face
	@echo "video:         $(CURDIR)/result.mp4"
	@echo "contact sheet: $(CURDIR)/result.png"

$(VENV)/.installed-web: $(VENV)/.installed
	$(PIP) -e '.[web]'
	@touch $@

web: $(VENV)/.installed-web
	$(BIN)/fnevr web

# Bytecode is kept even where that variable is set: tests start many processes, and each of them
# would compile the package.
test test-slow: export PYTHONDONTWRITEBYTECODE =

# What loads engines and compilers has processes of its own, and a file stays in one of them, since
# exporting takes long. So it does where servers and browsers are started. What is skipped is said.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs -n $(JOBS) --dist worksteal -q -m 'not slow' $(APART:%=--ignore %)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs -n $(JOBS) --dist loadfile -q -m 'not slow' $(APART)

test-slow: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --timeout 3600 -rs -n $(JOBS) --dist worksteal -q $(APART:%=--ignore %)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --timeout 3600 -rs -n $(JOBS) --dist loadfile -q $(APART)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src tests
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
