# Two commands do all the set-up: make demo, make test. They need python3 and make, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := -a start=2025-12-05T12:00Z -a end=2025-12-05T13:55Z

.PHONY: help demo test lint lock

help:
	@echo "make demo   collect two hours from a simulated feed into ./data"
	@echo "make test   run every test"
	@echo "make lint   check format, style and types"
	@echo "make lock   compile requirements*.txt from the short list in pyproject.toml"

$(VENV)/installed: requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(VENV)/installed
	@PATH="$(abspath $(BIN)):$$PATH" sh -e demo.sh

test: $(VENV)/installed
	$(BIN)/pytest --numprocesses auto

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

lock: $(VENV)/installed
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev pyproject.toml -o requirements-dev.txt
