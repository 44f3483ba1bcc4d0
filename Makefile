# Every target but `clean` makes what it needs first: Python 3.11 to 3.13 and make are enough to start.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
BENCH_VENV ?= .venv-bench
TEST_PROCESSES ?= 2
INSTALL := -m pip --disable-pip-version-check install --quiet --prefer-binary -c constraints.txt

# Stamps: what is installed is installed again when the wishes or the pins have changed.
BASE := $(VENV)/.installed-base
FULL := $(VENV)/.installed-full
BENCH := $(BENCH_VENV)/.installed
HARNESS := $(BENCH_VENV)/.installed-harness

.PHONY: setup quickstart test test-slow lint bench harness clean

setup: $(FULL)

quickstart: $(BASE)
	$(BIN)/gato quickstart

test: lint
	$(BIN)/python -m pytest -m "not slow" --numprocesses $(TEST_PROCESSES) --dist loadfile

test-slow: $(FULL)
	$(BIN)/python -m pytest -m slow

lint: $(FULL)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# OLDER=../older names an older checkout with its own .venv, whose training steps take turns with ours. A part that fails
# does not stop the others: the figures of those that ended stand at the end.
PARTS = "bench.py --peer-python $(BENCH_VENV)/bin/python" \
  "loader_speed.py --peer-python $(BENCH_VENV)/bin/python" \
  "layout_speed.py --rounds 3 --train-repeats 2 --act-repeats 30" $(if $(OLDER),"step_against_base.py $(OLDER)")
FIGURES := $(BENCH_VENV)/figures.txt

bench: $(FULL) $(BENCH)
	@: >$(FIGURES); failed=; \
	for part in $(PARTS); do \
	  echo "== $$part"; \
	  JAX_PLATFORMS=cpu $(BIN)/python benchmarks/$$part --figures $(FIGURES) || failed="$$failed $${part%% *}"; \
	done; \
	echo; cat $(FIGURES); \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

# Evaluation code written for other libraries plays our policy; those libraries need torch, which only BENCH_VENV has.
harness: $(HARNESS)
	$(BENCH_VENV)/bin/python -m pytest tests/inference/test_harnesses.py

clean:
	rm -rf $(VENV) $(BENCH_VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find gato envs configs tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), needed is 3.11, 3.12 or 3.13: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(BASE): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python $(INSTALL) -e ".[classic,box2d,minigrid]"
	@touch $@

$(FULL): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python $(INSTALL) -e ".[all,dev]"
	@touch $(BASE) $@

$(BENCH): benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip --disable-pip-version-check install --quiet --prefer-binary -r $<
	@touch $@

$(HARNESS): pyproject.toml constraints.txt $(BENCH)
	$(BENCH_VENV)/bin/python $(INSTALL) -e ".[harness]"
	@touch $@
