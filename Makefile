# Everything goes through one virtual environment, made from requirements.lock.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=

.PHONY: quickstart test lint docs bench clean

quickstart: $(VENV)/.ready
	$(BIN)/bertsmith quickstart $(ARGS)

test: $(VENV)/.ready
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile $(ARGS)

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.ready
	$(BIN)/python -m bertsmith.cli.reference > docs/commands.md

bench: $(VENV)/.ready
	for name in startup pretrain electra corpus embed kill; do $(BIN)/python -m benchmarks.$$name --quick || exit 1; done

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bertsmith needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) quickstart build .pytest_cache .mypy_cache .ruff_cache
