# The two commands are `make demo` and `make test`. Each makes .venv when it is missing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help venv demo test container-test lint clean

help:
	@echo "make demo   train, predict and score a network on volumes made in code (a few minutes)"
	@echo "make test   style, types, tests, and the wheel in an environment of its own"
	@echo "make container-test   the image built, run in every mode, and compared with outside (docker or podman; minutes)"
	@echo "make lint   style only"
	@echo "make venv   the development environment, .venv"
	@echo "make clean  remove caches and what the demo wrote; .venv stays"

venv: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt tools/mend_torchvision.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	$(BIN)/python tools/mend_torchvision.py
	@touch $@

demo: $(INSTALLED)
	$(BIN)/medmamba demo

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test: lint
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m "not slow and not gpu"
	$(BIN)/python tools/check_wheel.py

container-test: $(INSTALLED)
	$(BIN)/python -m tools.container

clean:
	rm -rf build dist medmamba_demo .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
