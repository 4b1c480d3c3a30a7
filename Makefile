# Everything happens in .venv, which the first target that needs it makes. `make` alone lists the targets.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
SCRIPTS := .ci/run $(wildcard recipes/*/ssl1/*.sh recipes/*/run.sh)

.PHONY: help install demo test test-slow test-distributed test-faults lint benchmarks docs
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s%s\n", $$1, $$2 }'
	@echo '  PYTHON=python3.12 chooses the interpreter (3.11 or newer) that .venv is made with'

install: $(INSTALLED)  ## make .venv and install audioinv with its developers' tools

demo: $(INSTALLED)  ## run the demo recipe: pre-train, adapt, evaluate, report
	recipes/demo/ssl1/run.sh

test: $(INSTALLED)  ## run the tests, except the slow ones
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not distributed and not faults"

test-slow: $(INSTALLED)  ## run the slow tests
	$(BIN)/python -m pytest -m slow

test-distributed: $(INSTALLED)  ## run the tests with several processes
	$(BIN)/python -m pytest -m distributed

test-faults: $(INSTALLED)  ## kill, fuzz, fill disks, run long: docs/reliability.md
	$(BIN)/python -m pytest -m faults

lint: $(INSTALLED)  ## check style, types and shell scripts
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/shellcheck $(SCRIPTS)

benchmarks: $(INSTALLED)  ## measure speed side by side; figures and tables go to docs/
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[benchmarks]'
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks --out docs

docs: $(INSTALLED)  ## build the site into site/, with its notebooks executed: some minutes
	PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# A stamp: written after a complete installation only, so that an interrupted one is taken up again.
$(INSTALLED): pyproject.toml
	"$(PYTHON)" -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "audioinv needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": make PYTHON=python3.12")'
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev,docs,vision,ray,webdataset,onnx,hub]'
	@touch $@
