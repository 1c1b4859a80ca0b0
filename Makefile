# `make backtest` and `make test` set up everything they need on a machine with Python 3.11+.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: backtest test test-all lint format docs bench clean

backtest: .venv/.runtime
	$(BIN)/convnext-vbt run strategies/quickstart.toml

test: .venv/.browser
	$(BIN)/pytest -n 2 --dist loadfile

test-all: .venv/.browser
	$(BIN)/pytest -n 2 --dist loadfile -m "not gpu" --hypothesis-profile default

lint: .venv/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(BIN)/lint-imports

format: .venv/.development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.development
	$(BIN)/python -W error -m pdoc --no-show-source --no-include-undocumented -o docs/api \
		convnext_vbt convnext_vbt.errors
	@echo "API reference: docs/api/convnext_vbt.html"

bench: .venv/.benchmarks
	$(BIN)/python -m benchmarks.record --quick

.venv/.runtime: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed"; exit 1; }
	@echo "creating .venv (a few minutes, once) ..."
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	@touch $@

.venv/.development: .venv/.runtime
	$(INSTALL) --editable '.[dev]'
	@touch $@

.venv/.browser: .venv/.development
	@$(BIN)/python -m tests.get_browser
	@touch $@

.venv/.benchmarks: .venv/.development
	$(INSTALL) --editable '.[bench]'
	@touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
