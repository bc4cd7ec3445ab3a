# make run   set up .venv and run the main job on the embedded default; ARGS="dataset=Toys backbone=dreamrec" passes overrides on
# make test  set up .venv and pass the tests;                            ARGS="tests/test_run.py -k plan" selects some
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
ARGS ?=

.PHONY: run test unit lint setup clean

run: $(READY)
	$(VENV)/bin/python -m pte.run $(ARGS)

test: lint unit

unit: $(READY)
	$(VENV)/bin/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile $(ARGS)

lint: $(READY)
	$(VENV)/bin/ruff check pte tests experiments docs
	$(VENV)/bin/ruff format --check pte tests experiments docs
	$(VENV)/bin/mypy

setup: $(READY)

# torch comes first and alone, at the pinned version, so that no other package asks for a build of its own.
$(READY): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"pte needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.12 ...")'
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: install your system's venv package (Debian: apt install python3-venv)"; exit 1; }
	$(VENV)/bin/python -m pip install --quiet --constraint .ci/constraints.txt torch
	$(VENV)/bin/python -m pip install --quiet --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV)
