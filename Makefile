# make demo   train a small network on real handwritten digits, compile it to C, and check it in torch, numpy and C
# make test   run every test
# make setup  only build the environment in .venv
#
# Each does all of its own set-up: it needs python3 (3.10 to 3.13), a C compiler and make.
# PIENN_TORCH_INDEX=<url> names a package index that has a CPU-only torch.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH_INDEX := $(if $(PIENN_TORCH_INDEX),--extra-index-url $(PIENN_TORCH_INDEX))

.PHONY: demo test setup development check clean

demo: $(VENV)/.ready
	$(BIN)/python examples/hello_digits/demo.py --output build/demo

test: $(VENV)/.ready-development
	cd generator && ../$(BIN)/python -m pytest -n $(JOBS) --dist worksteal
	cd test_apps && ../$(BIN)/python -m pytest -n $(JOBS) -m "host_test or simulator" kernels models

setup: $(VENV)/.ready

development: $(VENV)/.ready-development

check: $(VENV)/.ready-development
	cd generator && ../$(BIN)/ruff check --config pyproject.toml . ../tests ../examples ../test_apps
	cd generator && ../$(BIN)/ruff format --config pyproject.toml --check . ../tests ../examples ../test_apps
	cd generator && ../$(BIN)/basedpyright
	git ls-files '*.c' '*.h' | xargs $(BIN)/clang-format --dry-run -Werror

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	    { echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1): PIE-NN needs Python 3.10 to 3.13; name one with make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "error: $(PYTHON) has no venv module: install it with 'apt-get install python3-venv'"; exit 1; }
	@command -v $${CC:-cc} >/dev/null || { echo "error: no C compiler: install one with 'apt-get install gcc'"; exit 1; }
	@echo "Making the Python environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: generator/pyproject.toml generator/constraints.txt | $(VENV)/bin/python
	@echo "Installing the generator and torch (about 1 GB, a few minutes the first time)"
	$(PIP) install --quiet --constraint generator/constraints.txt $(TORCH_INDEX) "torch==2.13.0"
	$(PIP) install --quiet --constraint generator/constraints.txt --editable "generator[torch,demo]"
	@touch $@

$(VENV)/.ready-development: $(VENV)/.ready
	@echo "Installing the development tools"
	$(PIP) install --quiet --constraint generator/constraints.txt --editable "generator[torch,demo,development]"
	@touch $@

clean:
	rm -rf build $(VENV) generator/pienn.egg-info
