# Everything below sets itself up: a virtual environment in .venv with the pinned packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: help report test check lab bench format clean
.DEFAULT_GOAL := help

help:
	@echo "make report   the seven notebooks on the bundled texts, into reports/<time>/index.html"
	@echo "make lab      JupyterLab in notebooks/"
	@echo "make test     every check and every test"
	@echo "make bench    ours beside others: speed, memory, accuracy (an hour)"

report: $(VENV)/.ready
	$(BIN)/workbench run --profile quick

# Other environments may have put a kernel called python3 on the path of Jupyter.
lab: $(VENV)/.ready
	JUPYTER_PATH=$(abspath $(VENV)/share/jupyter) GOMP_SPINCOUNT=10000 \
	    $(BIN)/python -m jupyterlab --ip=127.0.0.1 --ServerApp.root_dir=notebooks

# Processes of one thread each. Tests of whole notebooks come last, in the order of their files.
WHOLE := tests/sequence tests/browser
test: export OMP_NUM_THREADS = 1
test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile $(WHOLE:%=--ignore=%)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(WHOLE)

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb

bench: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks --accuracy
	$(BIN)/python -m benchmarks --strategies

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout --keep-id notebooks/*.ipynb

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV): a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) --editable '.[dev]'
	@touch $@
