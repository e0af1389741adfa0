# Every target installs what it needs. Newcomers: `make demo`, then `make test`.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check -q
# pip's own words are shown only when it fails.
pip_install = mkdir -p build && { $(PIP) install -e ".[$(EXTRAS)]" >build/pip.log 2>&1 || { cat build/pip.log >&2; exit 1; }; }
HAS_HEADERS := import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))
BOARD ?= rp2040_pico
PYTEST_FLAGS ?= -n 2 --dist loadgroup

# Debian's speech synthesisers.
VOICES := espeak-ng flite festival festvox-us-slt-hts festvox-kallpc16k festvox-kdlpc16k

include firmware/build.mk

.PHONY: help demo test bench hil soak fuzz lint format train-tools train-general train-coffee ablations clean

help:  ## show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 20

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "stapes: Python 3.11 or newer is needed, $(PYTHON) is older; run: make PYTHON=python3.11 …" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || scripts/apt_install python3-venv
	$(PYTHON) -m venv $(VENV)

# Stamps: one per set of packages, remade when pyproject.toml changes.
$(VENV)/.installed-core: EXTRAS := emulator
$(VENV)/.installed-core: pyproject.toml | $(VENV)/bin/python
	@echo "installing the host tools into $(VENV)"
	@$(pip_install) && touch $@

$(VENV)/.installed-bench: EXTRAS := bench,emulator
$(VENV)/.installed-bench: $(VENV)/.installed-core
	@echo "installing what draws the figures into $(VENV)"
	@$(pip_install) && touch $@

$(VENV)/.installed-dev: EXTRAS := dev,emulator
$(VENV)/.installed-dev: $(VENV)/.installed-core
	@echo "installing the test tools into $(VENV)"
	@$(pip_install) && touch $@
# The emulator is nine times faster compiled for one's own Python, which takes its headers.
	@$(PYTHON) -c '$(HAS_HEADERS)' || scripts/apt_install python3-dev || echo "stapes: the emulator will be slow"

$(VENV)/.installed-train: EXTRAS := train,dev,emulator
$(VENV)/.installed-train: $(VENV)/.installed-dev
	@echo "installing the training tools into $(VENV)"
	@$(pip_install)
# One synthesiser's package is C, built where there are a compiler and Python's headers.
	@$(PIP) install ttspico >build/pip_pico.log 2>&1 || echo "stapes: no synthesiser pico (see build/pip_pico.log)"
	@touch $@

$(VENV)/.installed-fuzz: EXTRAS := fuzz,dev,emulator
$(VENV)/.installed-fuzz: $(VENV)/.installed-dev
	@echo "installing the fuzzer of Python code into $(VENV)"
	@$(pip_install) && touch $@

demo: $(VENV)/.installed-core unix-module  ## a recording through the board firmware on MicroPython's unix port
	@$(BIN)/stapes demo

test: $(VENV)/.installed-train unix-module firmware lint  ## every test, the emulated board's included
	$(BIN)/pytest $(PYTEST_FLAGS) -m "not slow"

bench: $(VENV)/.installed-bench firmware  ## what a recording and each kernel cost on the emulated RP2040
	@command -v valgrind >/dev/null || scripts/apt_install valgrind
	@$(BIN)/stapes bench board
	@$(BIN)/stapes bench kernels --plot build/bench_kernels.png

ON ?= emulator
MINUTES ?= 30
hil: $(VENV)/.installed-dev unix-module firmware  ## the checks of a device, with a report: ON=emulator, unix or a board's port
	$(BIN)/pytest tests/hil --board $(ON) --hil-report build/hil.md

soak: $(VENV)/.installed-dev unix-module firmware  ## MINUTES of listening without a leak: ON=emulator (over an hour), unix or a port
	$(BIN)/python tests/hil/soak.py --on $(ON) --minutes $(MINUTES) --report build/soak.md

RUNS ?= 1000000
JOBS ?= 2
fuzz: $(VENV)/.installed-fuzz  ## hostile models, grammars and lattices: RUNS cases for the kernels
	@$(BIN)/python tests/fuzz/run.py --runs $(RUNS) --jobs $(JOBS)

lint: $(VENV)/.installed-dev  ## ruff, mypy, codespell
	@$(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/codespell

format: $(VENV)/.installed-dev  ## let ruff format the Python code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

train-tools: $(VENV)/.installed-train  ## what `stapes train` and `stapes adapt` need, synthesisers included
	@scripts/apt_install $(VOICES)

train-general: train-tools  ## train models/general again (about two hours)
	$(BIN)/stapes train models/general/recipe.toml

ORDERS := ../shared/data/barista_dev
train-coffee: train-tools  ## adapt models/general to coffee orders again, then its branches (about two hours)
	$(BIN)/stapes train models/coffee/second/recipe.toml --threads 1
	$(BIN)/stapes train models/coffee/recipe.toml --threads 2
	$(BIN)/stapes endpoint tune models/coffee/model.tflite --grammar $(ORDERS)/coffee_maker.yaml --commands 960 --threads 2

# Scored on real orders where they are at hand.
ABLATIONS := models/coffee/ablations.toml
KITCHEN := ../shared/data/noise/kitchen.flac
ablations: train-tools  ## what each method of models/coffee is worth (two hours; goes on where it was stopped)
	$(BIN)/python -m stapes_tools.train.ablate $(ABLATIONS) build/$(notdir $(basename $(ABLATIONS))) \
	  $(if $(wildcard $(ORDERS)/refs.json),--score $(ORDERS) --grammar $(ORDERS)/coffee_maker.yaml --noise $(KITCHEN) --hearings 4)

clean:  ## remove build output, keep the virtual environment
	rm -rf build
